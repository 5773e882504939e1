import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

const PROGRAMS = ['/usr/bin/redis-server', '/usr/bin/valkey-server', '/usr/local/bin/redis-server'];

/** A Redis for tests. Closing it deletes its files. */
export interface TestRedis {
  readonly url: string;
  /** Its URL over TCP, if a port was given. */
  readonly tcpUrl: string;
  /** Kills it, as in an outage. Its data is lost. */
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** Path of the installed Redis (Debian). scripts/test.ts installs one if possible. */
export function redisProgram(): string | undefined {
  return PROGRAMS.find((path) => existsSync(path));
}

/** Starts a real server at its own socket. @param port additional TCP port; 0 for none */
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
  await whenReady(socket);
  return {
    url: socket,
    tcpUrl: `redis://127.0.0.1:${port}`,
    stop,
    start: async () => {
      child = run();
      await whenReady(socket);
    },
    close: async () => {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Resolves when Redis responds. */
async function whenReady(socket: string): Promise<void> {
  const redis = new Redis(socket, { retryStrategy: () => 20, maxRetriesPerRequest: null });
  redis.on('error', () => {});
  await redis.ping();
  redis.disconnect();
}
