/** Number of newest values that are kept: some seconds of a busy gateway. */
const KEPT = 8_192;

/** Latencies of the newest decisions. */
export class Latencies {
  readonly #newest = new Float64Array(KEPT);
  #count = 0;

  note(ms: number): void {
    this.#newest[this.#count++ % KEPT] = ms;
  }

  /** Quantiles over the newest values, ms; null when there are none. */
  quantiles<const Q extends readonly number[]>(shares: Q): (number | null)[] {
    const sorted = this.#newest.slice(0, Math.min(this.#count, KEPT)).sort();
    return shares.map((share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null);
  }

  get count(): number {
    return this.#count;
  }
}
