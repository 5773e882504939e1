import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

const PROGRAMS = ['/usr/bin/redis-server', '/usr/bin/valkey-server', '/usr/local/bin/redis-server'];

/** A Redis for tests, its files in a folder that is gone when it is closed. */
export interface TestRedis {
  readonly url: string;
  /** The same one over TCP, where it was asked for. */
  readonly tcpUrl: string;
  /** Stops it, as an outage would; what it held is gone. */
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** The Redis that Debian has installed; scripts/test.ts installs one where it can. */
export function redisProgram(): string | undefined {
  return PROGRAMS.find((path) => existsSync(path));
}

/** Starts a real server at a socket of its own. @param port over TCP, too; 0 is none */
export async function openTestRedis(port = 0): Promise<TestRedis> {
  const program = redisProgram();
  if (!program) throw new Error('there is no Redis on this machine; on Debian: apt-get install redis-server');
  const folder = mkdtempSync(join(tmpdir(), 'millrace-redis-'));
  const socket = join(folder, 'redis.sock');
  let child = run();
  function run() {
    return spawn(
      program as string,
      ['--port', String(port), '--bind', '127.0.0.1', '--unixsocket', socket, '--save', '', '--appendonly', 'no', '--dir', folder],
      {
        stdio: 'ignore',
      },
    );
  }
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  await answers(socket);
  return {
    url: socket,
    tcpUrl: `redis://127.0.0.1:${port}`,
    stop,
    start: async () => {
      child = run();
      await answers(socket);
    },
    close: async () => {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function answers(socket: string): Promise<void> {
  const redis = new Redis(socket, { retryStrategy: () => 20, maxRetriesPerRequest: null });
  redis.on('error', () => {});
  await redis.ping();
  redis.disconnect();
}
