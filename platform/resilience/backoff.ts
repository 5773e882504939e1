import { ExponentialBackoff, halfJitterGenerator, type IBackoff, noJitterGenerator } from 'cockatiel';

/**
 * Delays between attempts: exponential up to a maximum. With jitter, each delay is between half and all of that value, so that clients do not
 * reconnect to a venue at the same time. Without jitter, the delays are deterministic.
 */
export class Backoff {
  readonly #factory: ExponentialBackoff<unknown>;
  #backoff: IBackoff<unknown> | null = null;
  #attempts = 0;

  /** @param firstMs first delay, ms. @param maxMs largest delay, ms */
  constructor(firstMs: number, maxMs: number, jitter: 'half' | 'none' = 'half') {
    this.#factory = new ExponentialBackoff({
      initialDelay: firstMs,
      maxDelay: maxMs,
      generator: jitter === 'half' ? halfJitterGenerator : noJitterGenerator,
    });
  }

  /** Delay before the next attempt, ms. */
  next(): number {
    this.#attempts++;
    this.#backoff = this.#backoff ? this.#backoff.next(undefined) : this.#factory.next();
    return Math.ceil(this.#backoff.duration);
  }

  /** Attempts since the last success. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Starts again with the first delay. Call it when an attempt has succeeded. */
  reset(): void {
    this.#backoff = null;
    this.#attempts = 0;
  }
}
