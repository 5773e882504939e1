/** The newest so many are kept. */
const LATENCIES_MAX = 256;

/** The newest latencies of a source, ms. */
export class RecentLatencies {
  readonly #latencies: number[] = [];

  add(ms: number): void {
    if (this.#latencies.length >= LATENCIES_MAX) this.#latencies.shift();
    this.#latencies.push(ms);
  }

  /** Median, ms; null before there were any. */
  get median(): number | null {
    const sorted = [...this.#latencies].sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? null;
  }
}
