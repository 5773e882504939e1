import { clientNetwork } from '@millrace/base/client-network';
import { type Bucket, fullBucket, type Rate, takeFrom, waitFor } from '@millrace/base/token-bucket';
import type { Principal, Tier } from '@millrace/contracts';
import { TIERS } from '@millrace/contracts';
import type { FastifyReply } from 'fastify';

/** Rate of requests without credentials, per address. */
const ANONYMOUS = { requestsPerSecond: 20, burst: 200 } as const;
/** Maximum number of buckets. Above it the least recently used are dropped: they are full by then. */
const BUCKETS_MAX = 200_000;

/** Result of counting a request. */
export interface Allowance {
  readonly isAllowed: boolean;
  /** Requests that are allowed now. */
  readonly remaining: number;
  /** Time until the request is allowed, ms. 0 when it is now. */
  readonly waitMs: number;
}

/** Counts requests: in memory, or in Redis where several servers share the limits. */
export interface RateLimiter {
  take(key: string, rate: Rate, cost: number): Allowance | Promise<Allowance>;
}

function allowanceOf(bucket: Bucket, rate: Rate, cost: number, now: number): Allowance {
  const isAllowed = takeFrom(bucket, rate, cost, now);
  return { isAllowed, remaining: Math.floor(bucket.tokens), waitMs: isAllowed ? 0 : waitFor(bucket, rate, cost) };
}

/** Counts the requests of one connection. @param now monotonic clock, ms */
export function requestsOfOne(rate: Rate, now: () => number): () => Allowance {
  const bucket = fullBucket(rate, now());
  return () => allowanceOf(bucket, rate, 1, now());
}

/** Token buckets in memory. A request takes its cost. */
export class MemoryRateLimiter implements RateLimiter {
  readonly #now: () => number;
  /** Two generations: buckets used since the last change of generations, and before it. */
  #young = new Map<string, Bucket>();
  #old = new Map<string, Bucket>();

  /** @param now monotonic clock, ms */
  constructor(now: () => number) {
    this.#now = now;
  }

  take(key: string, rate: Rate, cost: number): Allowance {
    const now = this.#now();
    return allowanceOf(this.#young.get(key) ?? this.#grown(key, rate, now), rate, cost, now);
  }

  /** True if the key has a bucket. */
  knows(key: string): boolean {
    return this.#young.has(key) || this.#old.has(key);
  }

  /** Number of buckets. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  #grown(key: string, rate: Rate, now: number): Bucket {
    const bucket = this.#old.get(key) ?? fullBucket(rate, now);
    this.#old.delete(key);
    if (this.#young.size >= BUCKETS_MAX / 2) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, bucket);
    return bucket;
  }
}

/** A key whose requests are counted together, and its rate. */
export interface Counted {
  readonly key: string;
  readonly rate: Rate;
  readonly headers: RateHeaders;
}

export function countedAs(key: string, rate: Rate): Counted {
  return { key, rate, headers: headersOf(rate) };
}

/** By principal: most requests come from principals that are cached. */
const buckets = new WeakMap<Principal, Counted>();

/** Key and rate of a caller. Null when its requests are not counted. */
export function bucketOf(principal: Principal, remote: string): Counted | null {
  const { kind, user, credential, tier } = principal;
  if (kind === 'demo') return null;
  if (kind === 'anonymous') return countedAs(`address ${clientNetwork(remote)}`, ANONYMOUS);
  let bucket = buckets.get(principal);
  if (!bucket) {
    bucket = countedAs(kind === 'key' ? `key ${credential}` : `user ${user}`, TIERS[tier as Tier]);
    buckets.set(principal, bucket);
  }
  return bucket;
}

/** Header values of a rate. Every response has them, and building them costs more than the counting: so they are built beforehand. */
interface RateHeaders {
  /** `q` requests in `w` seconds. */
  readonly policy: string;
  /** By number of requests left (`r`), with the seconds until the bucket is full (`t`). */
  readonly left: string[];
}

const headersOfRates = new WeakMap<Rate, RateHeaders>();

function headersOf(rate: Rate): RateHeaders {
  let headers = headersOfRates.get(rate);
  if (!headers) {
    const { requestsPerSecond, burst } = rate;
    const untilFull = (remaining: number) => Math.ceil((burst - remaining) / requestsPerSecond);
    headers = {
      policy: `"requests";q=${burst};w=${Math.max(1, Math.round(burst / requestsPerSecond))}`,
      left: Array.from({ length: burst + 1 }, (_none, remaining) => `"requests";r=${remaining};t=${untilFull(remaining)}`),
    };
    headersOfRates.set(rate, headers);
  }
  return headers;
}

/** Sets the headers of draft-ietf-httpapi-ratelimit-headers-10. */
export function setRateHeaders(
  reply: Pick<FastifyReply, 'header'>,
  { headers }: Counted,
  { remaining, waitMs, isAllowed }: Allowance,
): void {
  reply.header('ratelimit-policy', headers.policy);
  reply.header('ratelimit', headers.left[remaining]);
  if (!isAllowed) reply.header('retry-after', String(Math.max(1, Math.ceil(waitMs / 1_000))));
}
