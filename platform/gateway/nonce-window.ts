/** Maximum number of nonces kept, about 100 bytes each. Above it (10,000 requests per second for 60 s, for example) the window becomes shorter. */
const NONCES_MAX = 500_000;
const SECOND_MS = 1_000;

/**
 * Accepts each nonce once. It keeps all nonces of a window of time. When there are too many, the window becomes shorter, and nonces before it are
 * refused as too old: a nonce is never accepted twice.
 */
export class NonceWindow {
  readonly #validMs: number;
  readonly #max: number;
  /** By second of creation, epoch s. */
  readonly #seconds = new Map<number, Set<string>>();
  #size = 0;
  /** Nonces from before this second are refused. */
  #from: number;
  /** Latest time so far, epoch ms. */
  #newest: number;

  /**
   * @param validMs how long a nonce is valid, and how far a clock may be ahead
   * @param start epoch ms; nonces from before are refused, because an earlier process may have accepted them
   */
  constructor(validMs: number, start: number, max: number = NONCES_MAX) {
    this.#from = Math.floor(start / SECOND_MS);
    this.#newest = start;
    this.#validMs = validMs;
    this.#max = max;
  }

  get size(): number {
    return this.#size;
  }

  /** @param at creation time of the nonce, epoch ms. @param now epoch ms. @returns false for a nonce that was used before or is too old */
  accept(nonce: string, at: number, now: number): boolean {
    // The clock was set back. Older nonces are forgotten, so only those that are made from now on can be told from used ones.
    if (now < this.#newest - this.#validMs) {
      this.#newest = now;
      this.#from = Math.floor(now / SECOND_MS);
    }
    this.#newest = Math.max(this.#newest, now);
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
