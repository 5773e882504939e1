import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Runs the benchmarks. Sets the exit code of the run. */
export function bench(names: string[]): void {
  const { status } = spawnSync(
    process.execPath,
    ['--expose-gc', join(import.meta.dirname, '..', '..', '..', 'bench', 'run.ts'), ...names],
    { stdio: 'inherit' },
  );
  process.exitCode = status ?? 1;
}
