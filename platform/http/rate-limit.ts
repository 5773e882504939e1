import type { Principal, Tier } from '@millrace/contracts';
import { TIERS } from '@millrace/contracts';
import type { FastifyReply } from 'fastify';

/** What someone who did not sign in may ask for, from one address. */
const ANONYMOUS = { requestsPerSecond: 20, burst: 200 } as const;
/** Buckets remembered; beyond it those longest untouched are forgotten, which is as good as full. */
const BUCKETS_MAX = 200_000;

export interface Rate {
  readonly requestsPerSecond: number;
  readonly burst: number;
}

/** What came of asking for a place. */
export interface Allowance {
  readonly isAllowed: boolean;
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

function takeFrom(bucket: Bucket, rate: Rate, cost: number, now: number): Allowance {
  bucket.tokens = Math.min(rate.burst, bucket.tokens + ((now - bucket.at) * rate.requestsPerSecond) / 1_000);
  bucket.at = now;
  const isAllowed = bucket.tokens >= cost;
  if (isAllowed) bucket.tokens -= cost;
  const missing = isAllowed ? 0 : cost - bucket.tokens;
  return { isAllowed, remaining: Math.floor(bucket.tokens), waitMs: (missing * 1_000) / rate.requestsPerSecond };
}

/** Counts the requests of one connection; nothing is left of it when that is gone. @param now milliseconds of a clock that never goes back */
export function requestsOfOne(rate: Rate, now: () => number): () => Allowance {
  const bucket = { tokens: rate.burst, at: now() };
  return () => takeFrom(bucket, rate, 1, now());
}

/** Token buckets in memory: each fills by `requestsPerSecond` up to `burst`, and a request takes its cost out. */
export class MemoryRateLimiter implements RateLimiter {
  readonly #now: () => number;
  /** Touched since the generations last changed, and before that. What is in neither is forgotten. */
  #young = new Map<string, Bucket>();
  #old = new Map<string, Bucket>();

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  take(key: string, rate: Rate, cost: number): Allowance {
    const now = this.#now();
    return takeFrom(this.#young.get(key) ?? this.#grown(key, rate, now), rate, cost, now);
  }

  /** Whether it was counted for lately. */
  knows(key: string): boolean {
    return this.#young.has(key) || this.#old.has(key);
  }

  /** How many are counted for. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  #grown(key: string, rate: Rate, now: number): Bucket {
    const bucket = this.#old.get(key) ?? { tokens: rate.burst, at: now };
    this.#old.delete(key);
    if (this.#young.size >= BUCKETS_MAX / 2) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, bucket);
    return bucket;
  }
}

/** Whose requests are counted together, and how many there may be. */
export interface Counted {
  readonly key: string;
  readonly rate: Rate;
  readonly said: SaidOfRate;
}

export function countedAs(key: string, rate: Rate): Counted {
  return { key, rate, said: saidOf(rate) };
}

/** Of those who are remembered; most requests come from them. */
const buckets = new WeakMap<Principal, Counted>();

/** Null where nobody counts. */
export function bucketOf(principal: Principal, remote: string): Counted | null {
  const { kind, user, credential, tier } = principal;
  if (kind === 'demo') return null;
  if (kind === 'anonymous') return countedAs(`address ${remote}`, ANONYMOUS);
  let bucket = buckets.get(principal);
  if (!bucket) {
    bucket = countedAs(kind === 'key' ? `key ${credential}` : `user ${user}`, TIERS[tier as Tier]);
    buckets.set(principal, bucket);
  }
  return bucket;
}

/** What answers say of a rate. Every answer says it, and putting it together costs more than the counting: so it is there beforehand. */
interface SaidOfRate {
  /** `q` requests in `w` seconds. */
  readonly policy: string;
  /** At each number of requests: that so many are left, and in how many seconds there are as many as there can be. */
  readonly left: string[];
}

/** There are few of them. */
const saidOfRates = new WeakMap<Rate, SaidOfRate>();

function saidOf(rate: Rate): SaidOfRate {
  let said = saidOfRates.get(rate);
  if (!said) {
    const { requestsPerSecond, burst } = rate;
    const untilFull = (remaining: number) => Math.ceil((burst - remaining) / requestsPerSecond);
    said = {
      policy: `"requests";q=${burst};w=${Math.max(1, Math.round(burst / requestsPerSecond))}`,
      left: Array.from({ length: burst + 1 }, (_none, remaining) => `"requests";r=${remaining};t=${untilFull(remaining)}`),
    };
    saidOfRates.set(rate, said);
  }
  return said;
}

/** Says the fields of draft-ietf-httpapi-ratelimit-headers-10 in an answer. */
export function sayAllowance(reply: Pick<FastifyReply, 'header'>, { said }: Counted, { remaining, waitMs, isAllowed }: Allowance): void {
  reply.header('ratelimit-policy', said.policy);
  reply.header('ratelimit', said.left[remaining]);
  if (!isAllowed) reply.header('retry-after', String(Math.max(1, Math.ceil(waitMs / 1_000))));
}
