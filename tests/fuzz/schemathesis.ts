import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const VERSION = '4.32.5';
const folder = join(import.meta.dirname, '..', '..', '.runtime', `schemathesis-${VERSION}`);
const program = join(folder, 'bin', 'schemathesis');

export interface SchemathesisOptions {
  readonly url: string;
  /** Token of a caller with all permissions. */
  readonly cookie: string;
  /** Ids of excluded operations. */
  readonly droppedUpdates: readonly string[];
  readonly seconds: number;
  readonly seed: number;
}

/** Runs Schemathesis, which compares the responses of a server with its OpenAPI document and prints its findings. */
export async function runSchemathesis({ url, cookie, droppedUpdates, seconds, seed }: SchemathesisOptions): Promise<boolean> {
  install();
  const running = spawn(
    program,
    [
      ...['--config-file', join(import.meta.dirname, 'schemathesis.toml')],
      'run',
      `${url}/api/v1/openapi.json`,
      ...['--url', url],
      ...['--header', `cookie: ${cookie}`],
      ...droppedUpdates.flatMap((operation) => ['--exclude-operation-id', operation]),
      ...['--max-time', String(seconds)],
      ...['--seed', String(seed)],
    ],
    { stdio: 'inherit', cwd: folder },
  );
  const [status] = await once(running, 'exit');
  return status === 0;
}

/** Installs it in .runtime/, once. It is a Python program. */
function install(): void {
  if (existsSync(program)) return;
  const steps = [
    ['python3', '-m', 'venv', folder],
    [join(folder, 'bin', 'pip'), 'install', '--quiet', '--disable-pip-version-check', `schemathesis==${VERSION}`],
  ] as const;
  for (const [command, ...rest] of steps)
    if (spawnSync(command, rest, { stdio: ['ignore', 'ignore', 'inherit'] }).status !== 0)
      throw new Error(
        `Schemathesis ${VERSION} could not be installed: "${[command, ...rest].join(' ')}" failed. It needs Python 3.10 with venv.`,
      );
}
