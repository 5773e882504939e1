/** Rate of a token bucket: the average and the size of a burst. */
export interface Rate {
  readonly requestsPerSecond: number;
  readonly burst: number;
}

/** A token bucket. It fills by `requestsPerSecond` up to `burst`. */
export interface Bucket {
  tokens: number;
  /** Time of the last change, ms of a monotonic clock. */
  at: number;
}

/** A full bucket. */
export function fullBucket({ burst }: Rate, now: number): Bucket {
  return { tokens: burst, at: now };
}

/** Takes tokens at `now`. @returns false, without taking any, when there are too few */
export function takeFrom(bucket: Bucket, { requestsPerSecond, burst }: Rate, tokens: number, now: number): boolean {
  bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) * requestsPerSecond) / 1_000);
  bucket.at = now;
  if (bucket.tokens < tokens) return false;
  bucket.tokens -= tokens;
  return true;
}

/** Time until this number of tokens is available, ms. 0 when they are available now. */
export function waitFor(bucket: Bucket, { requestsPerSecond }: Rate, tokens: number): number {
  return (Math.max(0, tokens - bucket.tokens) * 1_000) / requestsPerSecond;
}
