import type { Clock } from './ports.ts';

/** Time limit for a response of a log or store, in ms. After it, the log or store counts as unavailable. */
export const ANSWER_MS_MAX = 5_000;
/** Longest delay between two attempts of any retry, in ms. */
const RETRY_MS_MAX = 5_000;

/** Delay in ms between attempt number `attempt` (from 1) and the next: `firstMs`, doubled with each attempt, at most 5 s. */
export function retryDelayMs(attempt: number, firstMs: number): number {
  return Math.min(RETRY_MS_MAX, firstMs * 2 ** (attempt - 1));
}

/**
 * Settles as `work` does, or rejects after `ms`: a store that never responds must not block its callers. Does not cancel `work`.
 * @param what name of the log or store, for the error message
 */
export function within<T>(clock: Clock, ms: number, what: string, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => reject(new Error(`no answer from ${what} within ${ms} ms`)));
    work.finally(cancel).then(resolve, reject);
  });
}

/**
 * Waits for `read`, which calls `given` for each item. Rejects when a whole period of `ms` passes without an item, so a stalled
 * read is noticed after `ms` to 2 × `ms`. The total time has no limit. One timer runs per period, not one per item.
 * @param what name of the log or store, for the error message
 */
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

/** The message of an error; any other thrown value as a string. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
