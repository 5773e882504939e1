import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Gives back what a start took and nothing needs any more (hundreds of megabytes, where the embedded PostgreSQL made its files). V8 would keep it until it
 * needs room, which a process that idles never does. It takes some tens of milliseconds, in which nothing else happens.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}
