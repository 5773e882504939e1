/**
 * Waits between attempts to connect: doubling up to a bound, each with full jitter, so that a thousand clients of a venue
 * that comes back do not knock at once.
 */
export class Backoff {
  readonly #firstMs: number;
  readonly #mostMs: number;
  readonly #random: () => number;
  #attempts = 0;

  constructor(firstMs: number, mostMs: number, random: () => number = Math.random) {
    this.#firstMs = firstMs;
    this.#mostMs = mostMs;
    this.#random = random;
  }

  next(): number {
    const ceiling = Math.min(this.#mostMs, this.#firstMs * 2 ** Math.min(this.#attempts++, 30));
    return Math.ceil(ceiling / 2 + (this.#random() * ceiling) / 2);
  }

  get attempts(): number {
    return this.#attempts;
  }

  reset(): void {
    this.#attempts = 0;
  }
}
