/** The newest values of a measurement. Unlike a histogram of `perf_hooks` it forgets old values, and takes any number. */
export class RecentValues {
  readonly #values: Float64Array;
  #count = 0;

  /** @param size number of newest values that are kept */
  constructor(size: number) {
    this.#values = new Float64Array(size);
  }

  add(value: number): void {
    this.#values[this.#count++ % this.#values.length] = value;
  }

  /** Quantiles of the kept values, for shares from 0 to 1: 0.5 is the median. Null while there are none. */
  quantiles<const Shares extends readonly number[]>(shares: Shares): (number | null)[] {
    const sorted = this.#values.slice(0, Math.min(this.#count, this.#values.length)).sort();
    return shares.map((share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null);
  }

  /** Number of values so far, the forgotten ones included. */
  get count(): number {
    return this.#count;
  }
}
