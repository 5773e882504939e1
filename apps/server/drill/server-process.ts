import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Config } from '@millrace/contracts';

const MAIN = join(import.meta.dirname, '..', 'main.ts');

export interface ServerProcess {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts a separate server in a folder, on free ports. Rejects if it exits before it is ready. */
export async function startServerIn(folder: string, config: Config): Promise<ServerProcess> {
  const file = join(folder, 'millrace.config.json');
  writeFileSync(file, JSON.stringify(config));
  const child = spawn(process.execPath, [MAIN, 'up', '--config', file, '--data', join(folder, 'data'), '--port', '0'], {
    cwd: folder,
    env: { ...process.env, MILLRACE_CWD: folder, MILLRACE_LOGGING__LEVEL: 'silent', MILLRACE_DEMO: 'true' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => line.startsWith('ready ') && resolve(line.slice('ready '.length)));
    void exited.then(([code]) => reject(new Error(`the server of the drill exited with ${code} before it was ready`)));
  });
  return {
    url,
    pid: child.pid ?? 0,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}
