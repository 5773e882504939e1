/** A token bucket: `perSecond` on average, `burst` at once. `take` resolves when the caller may go on. */
export class RateLimit {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #elapsed: () => number;
  #tokens: number;
  #filledAt: number;
  #line: Promise<void> = Promise.resolve();

  constructor(perSecond: number, burst: number, elapsed: () => number = () => performance.now()) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#elapsed = elapsed;
    this.#filledAt = elapsed();
  }

  take(): Promise<void> {
    this.#line = this.#line.then(async () => {
      const now = this.#elapsed();
      this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#filledAt) / 1_000) * this.#perSecond);
      this.#filledAt = now;
      this.#tokens -= 1;
      if (this.#tokens < 0) await new Promise((resolve) => setTimeout(resolve, (-this.#tokens / this.#perSecond) * 1_000));
    });
    return this.#line;
  }
}
