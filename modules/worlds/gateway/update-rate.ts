/** Ticks between two updates, from fast to slow. */
const PACES = [2, 4, 8] as const;
const TICKS_PER_SECOND = 20;
/** Share of busy time above which the update rate falls, and below which it rises again. */
const BUSY = 0.8;
const CALM = 0.35;
/** Seconds below that share before the rate rises. */
const CALM_BEATS = 5;

/**
 * Rate of updates to players: 10, 5 or 2.5 per second. It falls while the gateway cannot write all updates in time, so that
 * replies stay fast.
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

  /** Call it once a second with the share of that second in which the thread worked. */
  note(busy: number): void {
    this.#calmBeats = busy < CALM ? this.#calmBeats + 1 : 0;
    const isCalm = this.#calmBeats >= CALM_BEATS;
    const next = busy > BUSY ? this.#step + 1 : isCalm ? this.#step - 1 : this.#step;
    this.#step = Math.max(0, Math.min(PACES.length - 1, next));
    if (isCalm) this.#calmBeats = 0;
  }
}
