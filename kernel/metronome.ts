import type { Clock } from './ports.ts';

/** Beats fall on multiples of this, so that many of them share a timer and none waits long for its own. */
const SLOT_MS = 5;
/** Steps made up for in one go after a delay. More would make the next step late as well: a spiral. */
const CATCH_UP_STEPS_MAX = 5;

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

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The first step comes one `tickMs` from now, or a little later. */
  add(beat: Beat): void {
    this.#beats.set(beat, Math.ceil((this.#clock.now() + beat.tickMs) / SLOT_MS) * SLOT_MS);
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
    this.#cancel = this.#clock.after(Math.max(0, next - this.#clock.now()), () => this.#strike());
  }

  #strike(): void {
    const now = this.#clock.now();
    for (const [beat, due] of [...this.#beats]) {
      if (due > now) continue;
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
