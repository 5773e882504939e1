import type { Clock } from './ports.ts';

/** First steps fall on multiples of this, in ms, so that zones of one rate wake the process together and not one by one. */
const SLOT_MS = 5;
/** The fractional parts of its multiples spread evenly, for any number of them. */
const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;
/** Steps that are caught up at once after a delay. More would make the next step late as well, without end. */
const CATCH_UP_STEPS_MAX = 5;
/** Steps that the next one may lie ahead, with its spread. Farther ahead means that the wall clock was set back. */
const FAR_STEPS = 3;
/** Longest time between two reads of the wall clock, in ms, because the clock may be set. */
const CLOCK_CHECK_MS = 1_000;

export interface TickDelay {
  /** Time since the first of the due steps was due. */
  readonly lateMs: number;
  /** Steps that are left out because the delay was too long. */
  readonly skippedSteps: number;
}

/**
 * Calls `step` once per `tickMs`, with the time that the step stands for. After a delay it calls it up to 5 times in a row. It
 * skips and reports the older steps.
 *
 * @param order number of the ticker; spreads the first steps of zones of one rate over one `tickMs`, so that they do not coincide
 * @returns a function that stops the steps
 */
export function startTicks(clock: Clock, tickMs: number, order: number, step: (now: number, delay: TickDelay) => void): () => void {
  const spread = ((order * GOLDEN_RATIO) % 1) * tickMs;
  let due = Math.ceil((clock.now() + tickMs + spread) / SLOT_MS) * SLOT_MS;
  let isStopped = false;
  const plan = () => clock.after(Math.min(Math.max(0, due - clock.now()), CLOCK_CHECK_MS), strike);
  const strike = () => {
    const now = clock.now();
    // The wall clock was set back: continue from now instead of waiting until the old time comes again.
    if (due - now > FAR_STEPS * tickMs) due = now + tickMs;
    const owed = Math.max(0, Math.floor((now - due) / tickMs) + 1);
    const skippedSteps = Math.max(0, owed - CATCH_UP_STEPS_MAX);
    const delay = { lateMs: now - due, skippedSteps };
    due += skippedSteps * tickMs;
    for (let count = skippedSteps; count < owed && !isStopped; count++, due += tickMs) step(due, delay);
    if (!isStopped) cancel = plan();
  };
  let cancel = plan();
  return () => {
    isStopped = true;
    cancel();
  };
}
