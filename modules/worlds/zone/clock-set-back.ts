/** How far a recorded time may be ahead of a decision, ms: a tick stands for a time up to five steps before the newest command. */
const AHEAD_MS_MAX = 1_000;

/** Whether a recorded time is ahead of a decision because the clock of the machine was set back since. Both epoch ms. */
export function isAhead(time: number, now: number): boolean {
  return time > now + AHEAD_MS_MAX;
}
