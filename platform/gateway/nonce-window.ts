/** Nonces remembered: 60 s of 10,000 requests a second would be more, but then only what is newer counts. About 100 bytes each. */
const NONCES_MAX = 500_000;
const SECOND_MS = 1_000;

/**
 * Accepts each nonce once. It remembers all of a window of time; when there are more than it can hold, the window becomes shorter, so that what it no
 * longer remembers is refused as too old: a nonce is never accepted twice.
 */
export class NonceWindow {
  readonly #validMs: number;
  readonly #max: number;
  /** By the second they were made in. */
  readonly #seconds = new Map<number, Set<string>>();
  #size = 0;
  /** What was made before this second is refused. */
  #from = Number.NEGATIVE_INFINITY;

  /** @param validMs how long a nonce is valid, and how far a clock may be ahead */
  constructor(validMs: number, max: number = NONCES_MAX) {
    this.#validMs = validMs;
    this.#max = max;
  }

  get size(): number {
    return this.#size;
  }

  /** @param at when the nonce was made. @param now both epoch ms */
  accept(nonce: string, at: number, now: number): boolean {
    this.#forgetBefore(Math.floor((now - this.#validMs) / SECOND_MS));
    const second = Math.floor(at / SECOND_MS);
    if (second < this.#from) return false;
    let nonces = this.#seconds.get(second);
    if (nonces?.has(nonce)) return false;
    if (!nonces) {
      nonces = new Set();
      this.#seconds.set(second, nonces);
    }
    nonces.add(nonce);
    this.#size++;
    while (this.#size > this.#max) this.#forgetBefore(Math.min(...this.#seconds.keys()) + 1);
    return true;
  }

  #forgetBefore(second: number): void {
    if (second <= this.#from) return;
    this.#from = second;
    for (const [each, nonces] of this.#seconds) {
      if (each >= second) continue;
      this.#size -= nonces.size;
      this.#seconds.delete(each);
    }
  }
}
