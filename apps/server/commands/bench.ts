import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Runs the benchmarks, each in a process of its own so that none heats up or fills memory for another. */
export function bench(names: string[]): void {
  const { status } = spawnSync(
    process.execPath,
    ['--expose-gc', join(import.meta.dirname, '..', '..', '..', 'bench', 'run.ts'), ...names],
    { stdio: 'inherit' },
  );
  process.exitCode = status ?? 1;
}
