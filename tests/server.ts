import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { databaseOf, stopDatabase, suspendDatabase } from './database.ts';
import { logOf } from './log-engine.ts';

/** The program of the server. */
export const MAIN = join(import.meta.dirname, '..', 'apps', 'server', 'main.ts');

export interface ServerProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Standard error so far. */
  readonly errors: () => string;
  /** Stops its database. @returns function that starts it again */
  stopDatabase(): Promise<() => Promise<void>>;
  /** Suspends its embedded database, so that queries wait. Returns a function that resumes it. */
  suspendDatabase(): () => void;
  /** Kills the process (SIGKILL). */
  kill(): Promise<void>;
  /** Stops the process (SIGTERM). @returns its exit code @throws when it was running and ends with another code than 0: a part did not stop in time */
  stop(): Promise<number | null>;
}

/** For tests without the world, which would start processes. */
export const WITHOUT_WORLD = { MILLRACE_WORLDS__ENABLED: 'false' } as const;

/** Default sources of tests. The default of the server simulates three hours of history, which takes seconds. */
const MARKET = JSON.stringify([
  { id: 'simulator', type: 'simulator', instruments: ['BTC-USDT', 'ETH-USDT', 'SOL-USDT', 'BTC-KRW'], historyMinutes: 2 },
]);

/** Starts the real server as a process on a free port, and waits for its `ready` line. */
export async function startServer(
  args: readonly string[],
  options: { cwd: string; env?: Record<string, string>; nodeFlags?: readonly string[]; ownGroup?: boolean },
): Promise<ServerProcess> {
  const saysItself = args.includes('--config') || existsSync(join(options.cwd, 'millrace.config.json'));
  const market: Record<string, string> = saysItself ? {} : { MILLRACE_SOURCES: MARKET };
  const env = {
    MILLRACE_LOGGING__LEVEL: 'warn',
    MILLRACE_DEMO: 'true',
    ...market,
    ...(await databaseOf(options.cwd, args)),
    ...logOf(options.cwd, args),
    ...options.env,
  };
  const child = spawn(process.execPath, [...(options.nodeFlags ?? []), MAIN, ...args], {
    cwd: options.cwd,
    env: { ...process.env, MILLRACE_CWD: options.cwd, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: options.ownGroup ?? false,
  });
  let errors = '';
  child.stderr.on('data', (text) => {
    errors += text;
  });
  const exited = once(child, 'exit');
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => line.startsWith('ready ') && resolve(line.slice('ready '.length)));
    void exited.then(([code]) => reject(new Error(`the server ended with ${code} before it was ready:\n${errors}`)));
  });
  return {
    url,
    child,
    errors: () => errors,
    stopDatabase: () => stopDatabase(child.pid ?? 0, env),
    suspendDatabase: () => suspendDatabase(child.pid ?? 0, env),
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    stop: async () => {
      const wasRunning = child.exitCode === null && child.signalCode === null;
      child.kill('SIGTERM');
      const [code] = await exited;
      if (wasRunning && code !== 0) throw new Error(`the server stopped with ${code}, not 0:\n${errors}`);
      return code;
    },
  };
}
