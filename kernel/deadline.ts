import type { Clock } from './ports.ts';

/** The longest wait between two attempts, whatever is tried. */
const RETRY_MS_MAX = 5_000;

/** How long to wait before attempt number `attempt` + 1: twice as long each time. */
export function retryDelayMs(attempt: number, firstMs: number): number {
  return Math.min(RETRY_MS_MAX, firstMs * 2 ** (attempt - 1));
}

/**
 * What `work` gives, or a rejection after `ms`: a store that never answers must not hold up what waits for it.
 * @param what the store and the call, for the error
 */
export function within<T>(clock: Clock, ms: number, what: string, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => reject(new Error(`no answer from ${what} within ${ms} ms`)));
    work.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error) => {
        cancel();
        reject(error);
      },
    );
  });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
