import { type Bucket, fullBucket, type Rate, takeFrom } from '@millrace/base/token-bucket';

/** How long a grant lasts, ms. */
const GRANTED_MS = 5_000;

/** Rate limiter for the frames or commands of a connection, with grants for what arrived while the server was suspended. Times are ms of any monotonic clock. */
export class FrameLimiter {
  readonly #rate: Rate;
  readonly #bucket: Bucket;
  /** Extra tokens beyond the burst, valid until `#grantedUntil`. */
  #granted = 0;
  #grantedUntil = 0;

  constructor(rate: Rate, now: number) {
    this.#rate = rate;
    this.#bucket = fullBucket(rate, now);
  }

  /** Takes a token. Returns false when the limit is reached at `now`. */
  take(now: number): boolean {
    if (takeFrom(this.#bucket, this.#rate, 1, now)) return true;
    if (this.#granted < 1 || now >= this.#grantedUntil) return false;
    this.#granted -= 1;
    return true;
  }

  /** Adds the tokens of `ms` for a while: what arrived during a suspension of that length is read at once. */
  grant(ms: number, now: number): void {
    this.#granted = (ms * this.#rate.requestsPerSecond) / 1_000;
    this.#grantedUntil = now + GRANTED_MS;
  }
}
