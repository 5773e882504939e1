import type { Clock } from './ports.ts';

/** A log or store without an answer for so long is taken for unavailable. */
export const ANSWER_MS_MAX = 5_000;
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
    work.finally(cancel).then(resolve, reject);
  });
}

/** Waits for `read` as long as it is given something every `ms`: one timer for all of it, not one for each time. */
export function whileItGives(clock: Clock, ms: number, what: string, read: (given: () => void) => Promise<void>): Promise<void> {
  let count = 0;
  let cancel = () => {};
  const silence = new Promise<never>((_resolve, reject) => {
    const check = (before: number) => {
      cancel = clock.after(ms, () => {
        if (count === before) reject(new Error(`no answer from ${what} within ${ms} ms`));
        else check(count);
      });
    };
    check(0);
  });
  return Promise.race([read(() => void count++), silence]).finally(() => cancel());
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
