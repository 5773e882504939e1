import type { Clock } from './ports.ts';

/** Beats fall on multiples of this, so that many of them share a timer and none waits long for its own. */
const SLOT_MS = 5;
/** Multiples of it, cut to their fractions, spread evenly however many there are. */
const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;
/** Steps made up for in one go after a delay. More would make the next step late as well: a spiral. */
const CATCH_UP_STEPS_MAX = 5;
/** Beats a step may lie ahead, spreading included; one that lies farther was planned before the wall clock was set back. */
const FAR_BEATS = 3;
/** The wall clock is looked at this often at least, in case that it is set. */
const LOOK_MS_MAX = 1_000;

export interface Beat {
  readonly tickMs: number;
  /** One step; `now` is the moment the step stands for, not when it runs. */
  readonly step: (now: number) => void;
  readonly onLate?: (figures: { lateMs: number; skippedSteps: number }) => void;
}

/**
 * Fixed-step time: each beat is stepped once for every `tickMs` that passed, after a delay several times in a row, but
 * never more than a few; what is beyond is skipped and reported.
 */
export class Metronome {
  readonly #clock: Clock;
  readonly #beats = new Map<Beat, number>();
  #cancel: (() => void) | null = null;
  #added = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The first step comes one `tickMs` from now, or up to another one later: beats are spread, so that they do not fall together. */
  add(beat: Beat): void {
    const spread = ((this.#added++ * GOLDEN_RATIO) % 1) * beat.tickMs;
    this.#beats.set(beat, Math.ceil((this.#clock.now() + beat.tickMs + spread) / SLOT_MS) * SLOT_MS);
    this.#arm();
  }

  remove(beat: Beat): void {
    this.#beats.delete(beat);
    this.#arm();
  }

  stop(): void {
    this.#beats.clear();
    this.#cancel?.();
    this.#cancel = null;
  }

  #arm(): void {
    this.#cancel?.();
    this.#cancel = null;
    let next = Number.POSITIVE_INFINITY;
    for (const due of this.#beats.values()) next = Math.min(next, due);
    if (next === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.max(0, next - this.#clock.now());
    this.#cancel = this.#clock.after(Math.min(waitMs, LOOK_MS_MAX), () => this.#strike());
  }

  #strike(): void {
    const now = this.#clock.now();
    for (const [beat, due] of [...this.#beats]) {
      if (due > now) {
        // The wall clock was set back: the beat goes on from here instead of waiting for the old time to come again.
        if (due - now > FAR_BEATS * beat.tickMs) this.#beats.set(beat, now + beat.tickMs);
        continue;
      }
      const owed = Math.floor((now - due) / beat.tickMs) + 1;
      const skippedSteps = Math.max(0, owed - CATCH_UP_STEPS_MAX);
      const firstMoment = due + skippedSteps * beat.tickMs;
      beat.onLate?.({ lateMs: now - due, skippedSteps });
      for (let step = 0; step < owed - skippedSteps; step++) beat.step(firstMoment + step * beat.tickMs);
      if (this.#beats.has(beat)) this.#beats.set(beat, due + owed * beat.tickMs);
    }
    this.#arm();
  }
}
