/** How long a grant lasts, ms. */
const GRANTED_MS = 5_000;

/** Token-bucket rate limiter: `perSecond` on average, `burst` at once. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt: number;
  /** Extra tokens beyond the burst, valid until `#grantedUntil`. */
  #granted = 0;
  #grantedUntil = 0;

  constructor(perSecond: number, burst: number, now: number) {
    this.#perMs = perSecond / 1_000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledAt = now;
  }

  /** Takes a token. False when the limit is reached at `now`, ms of any monotonic clock. */
  take(now: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#filledAt) * this.#perMs);
    this.#filledAt = now;
    if (this.#tokens >= 1) this.#tokens -= 1;
    else if (this.#granted >= 1 && now < this.#grantedUntil) this.#granted -= 1;
    else return false;
    return true;
  }

  /** Adds the tokens of `ms` for a while, because what arrived during a suspension of that length is read at once. */
  grant(ms: number, now: number): void {
    this.#granted = ms * this.#perMs;
    this.#grantedUntil = now + GRANTED_MS;
  }
}
