/** Ticks between two updates: as often as it is of use, and less often the busier the gateway’s thread is. */
const PACES = [2, 4, 8] as const;
const TICKS_PER_SECOND = 20;
/** Share of its time that the thread may be at work before updates come less often, and below which they come more often again. */
const BUSY = 0.8;
const CALM = 0.35;
/** Seconds of calm before that. */
const CALM_BEATS = 5;

/**
 * How often players are told what has changed: ten, five, or two and a half times a second. Updates come less often while they
 * cannot all be written in time, so that answers stay quick.
 */
export class UpdateRate {
  #step = 0;
  #calmBeats = 0;

  get ticks(): number {
    return PACES[this.#step] ?? PACES[0];
  }

  get updatesPerSecond(): number {
    return TICKS_PER_SECOND / this.ticks;
  }

  /** Call once a second with the share of it that the thread was at work. */
  note(busy: number): void {
    this.#calmBeats = busy < CALM ? this.#calmBeats + 1 : 0;
    const isCalm = this.#calmBeats >= CALM_BEATS;
    const next = busy > BUSY ? this.#step + 1 : isCalm ? this.#step - 1 : this.#step;
    this.#step = Math.max(0, Math.min(PACES.length - 1, next));
    if (isCalm) this.#calmBeats = 0;
  }
}
