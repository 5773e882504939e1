/**
 * The time of a zone: that of the clock, but it never goes back, also when another machine takes the zone over. While the clock is behind, it passes at half
 * speed: what the zone waits for still comes, and the clock catches up.
 */
export class ZoneTime {
  #last = 0;
  /** The time at which the clock was found to be behind, and the elapsed time then, ms. */
  #behind: { readonly time: number; readonly elapsed: number } | null = null;

  /** @param now epoch ms of the clock. @param elapsed ms of the clock that never goes back */
  at(now: number, elapsed: number): number {
    if (now >= this.#last) this.#behind = null;
    else this.#behind ??= { time: this.#last, elapsed };
    this.#last = this.#behind ? this.#behind.time + Math.floor((elapsed - this.#behind.elapsed) / 2) : now;
    return this.#last;
  }

  /** Continues after a time of the record. */
  continueAfter(time: number): void {
    if (time <= this.#last) return;
    this.#last = time;
    this.#behind = null;
  }
}
