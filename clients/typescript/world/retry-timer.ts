/** Delays of retries double from the first to the longest, ms. Each is shortened by a random share of up to a half, so that clients do not retry together. */
export interface RetryDelays {
  readonly firstMs: number;
  readonly mostMs: number;
}

/** Schedules retries, one at a time, with rising delays. */
export class RetryTimer {
  readonly #delays: RetryDelays;
  #nextMs: number;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(delays: RetryDelays) {
    this.#delays = delays;
    this.#nextMs = delays.firstMs;
  }

  /** Calls `retry` after the next delay, in place of a retry that is scheduled. */
  schedule(retry: () => void): void {
    this.cancel();
    const waitMs = this.#nextMs * (0.5 + Math.random() / 2);
    this.#nextMs = Math.min(this.#nextMs * 2, this.#delays.mostMs);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      retry();
    }, waitMs);
  }

  cancel(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Cancels the scheduled retry; the next one has the first delay again. */
  reset(): void {
    this.cancel();
    this.#nextMs = this.#delays.firstMs;
  }
}
