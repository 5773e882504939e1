import { setTimeout } from 'node:timers/promises';

/** How many times longer everything may take here than on a machine of usual speed with nothing else to do; scripts/test.ts measures it. */
export const PATIENCE = Math.max(1, Number(process.env.TEST_PATIENCE ?? 1));
/** Longest anything takes that a test waits for, on a machine of usual speed. */
const WITHIN_MS = 30_000;
const LOOK_AGAIN_MS = 10;

/**
 * Waits for what reports nothing when it comes about.
 * @param holds asked again and again; what it throws counts as no
 * @param what for the error when it did not come about in time: "the source is live"
 */
export async function until(holds: () => boolean | Promise<boolean>, what: string, withinMs = WITHIN_MS): Promise<void> {
  const deadline = performance.now() + withinMs * PATIENCE;
  let thrown: unknown;
  for (;;) {
    try {
      if (await holds()) return;
    } catch (error) {
      thrown = error;
    }
    if (performance.now() > deadline) throw new Error(`${what} did not come about within ${withinMs * PATIENCE} ms`, { cause: thrown });
    await setTimeout(LOOK_AGAIN_MS);
  }
}
