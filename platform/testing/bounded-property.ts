import fc, { type IAsyncProperty } from 'fast-check';

/** Number of runs between two time checks. */
const BATCH_RUNS = 5;
/** `npm test` takes a share of the time, `npm run test:all` all of it. */
const TIME_SHARE = process.env.TEST_QUICK ? 0.4 : 1;

/**
 * Asserts a property with slow runs: `numRuns` times, or fewer when `ms` has passed. At least one batch runs, even on the slowest machine.
 * The time limit of fast-check would fail when not even one run completes.
 */
export async function assertWithinTime<T>(property: IAsyncProperty<T>, { numRuns, ms }: { numRuns: number; ms: number }): Promise<void> {
  const end = performance.now() + ms * TIME_SHARE;
  for (let done = 0; done === 0 || (done < numRuns && performance.now() < end); done += BATCH_RUNS)
    await fc.assert(property, { numRuns: Math.min(BATCH_RUNS, numRuns - done) });
}
