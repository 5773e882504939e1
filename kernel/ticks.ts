import type { Clock } from './ports.ts';

/** First steps fall on multiples of this, so that zones of one rate wake the process together and not one by one. */
const SLOT_MS = 5;
/** Its multiples, cut to their fractions, spread evenly however many there are. */
const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;
/** Steps made up for in one go after a delay. More would make the next step late as well, and so on. */
const CATCH_UP_STEPS_MAX = 5;
/** Steps the next one may lie ahead, spreading included; one farther ahead was planned before the wall clock was set back. */
const FAR_STEPS = 3;
/** The wall clock is read this often at least, in case that it is set. */
const CLOCK_CHECK_MS = 1_000;

export interface TickDelay {
  readonly lateMs: number;
  /** Steps that were left out because the delay was too long. */
  readonly skippedSteps: number;
}

/**
 * Fixed-step time: calls `step` once for every `tickMs` that passed, with the moment that the step stands for. After a delay it is
 * called several times in a row, but never more than a few; what is beyond is skipped and reported.
 *
 * @param order spreads the first steps of zones of one rate over one `tickMs`, so that they do not fall together
 * @returns stops it
 */
export function startTicks(clock: Clock, tickMs: number, order: number, step: (now: number, delay: TickDelay) => void): () => void {
  const spread = ((order * GOLDEN_RATIO) % 1) * tickMs;
  let due = Math.ceil((clock.now() + tickMs + spread) / SLOT_MS) * SLOT_MS;
  let isStopped = false;
  const plan = () => clock.after(Math.min(Math.max(0, due - clock.now()), CLOCK_CHECK_MS), strike);
  const strike = () => {
    const now = clock.now();
    // The wall clock was set back: go on from here instead of waiting for the old time to come again.
    if (due - now > FAR_STEPS * tickMs) due = now + tickMs;
    const owed = Math.max(0, Math.floor((now - due) / tickMs) + 1);
    const skippedSteps = Math.max(0, owed - CATCH_UP_STEPS_MAX);
    const delay = { lateMs: now - due, skippedSteps };
    for (let count = 0; count < owed && !isStopped; count++, due += tickMs) if (count >= skippedSteps) step(due, delay);
    if (!isStopped) cancel = plan();
  };
  let cancel = plan();
  return () => {
    isStopped = true;
    cancel();
  };
}
