import { type Bucket, fullBucket, type Rate, takeFrom, waitFor } from '@millrace/base/token-bucket';

/** Delays requests to an outside service so that they stay within a rate. */
export class RateLimit {
  readonly #rate: Rate;
  readonly #elapsed: () => number;
  readonly #bucket: Bucket;
  #queue: Promise<void> = Promise.resolve();

  constructor(perSecond: number, burst: number, elapsed: () => number = () => performance.now()) {
    this.#rate = { requestsPerSecond: perSecond, burst };
    this.#elapsed = elapsed;
    this.#bucket = fullBucket(this.#rate, elapsed());
  }

  /** Resolves when the caller may send a request. Callers are served in order. */
  take(): Promise<void> {
    this.#queue = this.#queue.then(async () => {
      while (!takeFrom(this.#bucket, this.#rate, 1, this.#elapsed())) {
        const ms = Math.max(1, waitFor(this.#bucket, this.#rate, 1));
        await new Promise((resolve) => setTimeout(resolve, ms));
      }
    });
    return this.#queue;
  }
}
