import { ExponentialBackoff, halfJitterGenerator, type IBackoff, noJitterGenerator } from 'cockatiel';

/**
 * Delays between attempts: exponential up to a maximum. With jitter each is between half and all of that, so that a thousand clients of
 * a venue do not reconnect at the same moment; without it, delays are the same in each run.
 */
export class Backoff {
  readonly #factory: ExponentialBackoff<unknown>;
  #backoff: IBackoff<unknown> | null = null;
  #attempts = 0;

  constructor(firstMs: number, mostMs: number, jitter: 'half' | 'none' = 'half') {
    this.#factory = new ExponentialBackoff({
      initialDelay: firstMs,
      maxDelay: mostMs,
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

  /** The last attempt has succeeded. */
  reset(): void {
    this.#backoff = null;
    this.#attempts = 0;
  }
}
