import type { Principal, Tier } from '@millrace/contracts';
import { TIERS } from '@millrace/contracts';

/** What someone who did not sign in may ask for, from one address. */
const ANONYMOUS = { requestsPerSecond: 20, burst: 200 } as const;
/** Buckets remembered; beyond it the one longest untouched is forgotten, which is as good as full. */
const BUCKETS_MAX = 200_000;

export interface Rate {
  readonly requestsPerSecond: number;
  readonly burst: number;
}

/** What came of asking for a place. */
export interface Allowance {
  readonly isAllowed: boolean;
  readonly rate: Rate;
  /** Requests that would be allowed right now. */
  readonly remaining: number;
  /** Until the next is allowed; 0 when it is now. */
  readonly waitMs: number;
}

/** Counts requests. In memory for one process; where there are several, they share it. */
export interface RateLimiter {
  take(key: string, rate: Rate, cost: number): Allowance | Promise<Allowance>;
}

interface Bucket {
  tokens: number;
  /** When it was last touched, ms. */
  at: number;
}

/** Token buckets in memory: each fills by `requestsPerSecond` up to `burst`, and a request takes its cost out. */
export class MemoryRateLimiter implements RateLimiter {
  readonly #now: () => number;
  readonly #buckets = new Map<string, Bucket>();

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  take(key: string, rate: Rate, cost: number): Allowance {
    const now = this.#now();
    let bucket = this.#buckets.get(key);
    if (bucket) this.#buckets.delete(key);
    else bucket = { tokens: rate.burst, at: now };
    // Put in last again, so that the first of the map is the one longest untouched.
    this.#buckets.set(key, bucket);
    const oldest = this.#buckets.size > BUCKETS_MAX ? this.#buckets.keys().next() : null;
    if (oldest && !oldest.done) this.#buckets.delete(oldest.value);
    bucket.tokens = Math.min(rate.burst, bucket.tokens + ((now - bucket.at) * rate.requestsPerSecond) / 1_000);
    bucket.at = now;
    const isAllowed = bucket.tokens >= cost;
    if (isAllowed) bucket.tokens -= cost;
    const missing = isAllowed ? 0 : cost - bucket.tokens;
    return { isAllowed, rate, remaining: Math.floor(bucket.tokens), waitMs: (missing * 1_000) / rate.requestsPerSecond };
  }

  /** How many are counted for. */
  get size(): number {
    return this.#buckets.size;
  }
}

/** Whose requests are counted together, and how many there may be; null where nobody counts. */
export function bucketOf({ kind, user, credential, tier }: Principal, remote: string): { key: string; rate: Rate } | null {
  switch (kind) {
    case 'demo':
      return null;
    case 'anonymous':
      return { key: `address ${remote}`, rate: ANONYMOUS };
    case 'key':
      return { key: `key ${credential}`, rate: TIERS[tier as Tier] };
    default:
      return { key: `user ${user}`, rate: TIERS[tier as Tier] };
  }
}

/** The fields of draft-ietf-httpapi-ratelimit-headers-10. */
export function rateLimitHeaders({ rate, remaining, waitMs, isAllowed }: Allowance): Record<string, string> {
  const windowSeconds = Math.max(1, Math.round(rate.burst / rate.requestsPerSecond));
  const untilFull = Math.ceil((rate.burst - remaining) / rate.requestsPerSecond);
  return {
    'ratelimit-policy': `"requests";q=${rate.burst};w=${windowSeconds}`,
    ratelimit: `"requests";r=${remaining};t=${untilFull}`,
    ...(!isAllowed && { 'retry-after': String(Math.max(1, Math.ceil(waitMs / 1_000))) }),
  };
}
