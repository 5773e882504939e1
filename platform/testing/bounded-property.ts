import fc, { type IAsyncProperty } from 'fast-check';

/** Runs between two looks at the clock. */
const RUNS_AT_A_TIME = 5;

/**
 * Asserts a property of which each run takes long: `numRuns` times, or as often as there is time for, and a few times on the slowest machine.
 * fast-check's own time limit fails when not even one run fits in.
 */
export async function assertWhileTimeLasts<T>(
  property: IAsyncProperty<T>,
  { numRuns, ms }: { numRuns: number; ms: number },
): Promise<void> {
  const end = performance.now() + ms;
  for (let done = 0; done === 0 || (done < numRuns && performance.now() < end); done += RUNS_AT_A_TIME)
    await fc.assert(property, { numRuns: Math.min(RUNS_AT_A_TIME, numRuns - done) });
}
