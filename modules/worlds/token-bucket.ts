/** How long what was held up may take to be read. */
const GRANTED_MS = 5_000;

/** How often something may happen: `perSecond` on average, `burst` at once. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt: number;
  /** Beyond the burst, and until when. */
  #granted = 0;
  #grantedUntil = 0;

  constructor(perSecond: number, burst: number, now: number) {
    this.#perMs = perSecond / 1_000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledAt = now;
  }

  /** Whether one more is within the limit at `now`, ms of any clock that never goes back. */
  take(now: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#filledAt) * this.#perMs);
    this.#filledAt = now;
    if (this.#tokens >= 1) this.#tokens -= 1;
    else if (this.#granted >= 1 && now < this.#grantedUntil) this.#granted -= 1;
    else return false;
    return true;
  }

  /** What came within so much time comes at once now: it is no burst. */
  grant(ms: number, now: number): void {
    this.#granted = ms * this.#perMs;
    this.#grantedUntil = now + GRANTED_MS;
  }
}
