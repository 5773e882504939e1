import { setTimeout } from 'node:timers/promises';

/** Factor for time limits in tests: 1 on an idle machine of usual speed, more on a slower one. scripts/test.ts measures it. */
export const TIME_FACTOR = Math.max(1, Number(process.env.TEST_TIME_FACTOR ?? 1));
/** Default time limit of a wait on a machine of usual speed. */
const WITHIN_MS = 30_000;
const POLL_MS = 10;

/**
 * Waits until a condition holds, by polling. Use it only for conditions without an event.
 * @param holds the condition; an error counts as false
 * @param what the condition in words, for the error: "the source is live"
 * @throws Error when the condition does not hold in time
 */
export async function until(holds: () => boolean | Promise<boolean>, what: string, withinMs = WITHIN_MS): Promise<void> {
  const deadline = performance.now() + withinMs * TIME_FACTOR;
  let thrown: unknown;
  for (;;) {
    try {
      if (await holds()) return;
    } catch (error) {
      thrown = error;
    }
    if (performance.now() > deadline) throw new Error(`Not true within ${withinMs * TIME_FACTOR} ms: ${what}.`, { cause: thrown });
    await setTimeout(POLL_MS);
  }
}
