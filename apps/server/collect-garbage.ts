import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Runs a full garbage collection, to release the memory of the start (hundreds of megabytes when the embedded PostgreSQL created its files). In an idle
 * process V8 would keep it. Blocks the process for some tens of milliseconds.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}
