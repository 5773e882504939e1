import type { Rate } from '@millrace/base/token-bucket';
import { type Allowance, MemoryRateLimiter, type RateLimiter } from '@millrace/http';
import type { Redis } from 'ioredis';

/**
 * The token bucket of MemoryRateLimiter in Redis, by the clock of Redis: all gateways share it. An unused bucket expires when it is full, because a
 * missing bucket counts as full.
 */
const TAKE = `
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local tokens, at = tonumber(bucket[1] or burst), tonumber(bucket[2] or now)
-- The clock may have been set back.
tokens = math.min(burst, tokens + math.max(0, now - at) * rate / 1000)
local allowed = tokens >= cost and 1 or 0
if allowed == 1 then tokens = tokens - cost end
if cost > 0 then
  redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(now))
  redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 1000)
end
return { allowed, tostring(tokens) }
`;

type Taking = Redis & { takeTokens(key: string, rate: number, burst: number, cost: number): Promise<[allowed: number, tokens: string]> };

/** Interval at which the command is tried again after Redis failed, ms. A ping would succeed while Redis refuses writes. */
const PROBE_MS = 1_000;
const PROBE_KEY = 'probe';

/**
 * Counts requests for several gateways together. While Redis is unavailable, each gateway counts alone: requests are admitted up to the rate at each of
 * them. When Redis hangs, only the first request waits for it; then the command is tried in the background until it succeeds.
 * @param now monotonic clock, ms
 * @param onFailure called once per outage
 */
export function redisRateLimiter(redis: Redis, now: () => number, onFailure: (error: Error) => void): RateLimiter {
  const local = new MemoryRateLimiter(now);
  let isAvailable = true;
  const takeIn = (key: string, rate: Rate, cost: number) =>
    (redis as Taking).takeTokens(`millrace:rate:${key}`, rate.requestsPerSecond, rate.burst, cost);
  const scheduleProbe = () => {
    const timer = setTimeout(() => {
      if (redis.status === 'end') return;
      takeIn(PROBE_KEY, { requestsPerSecond: 1, burst: 1 }, 1).then(() => {
        isAvailable = true;
      }, scheduleProbe);
    }, PROBE_MS);
    timer.unref();
  };
  const failed = (error: Error) => {
    if (!isAvailable) return;
    isAvailable = false;
    onFailure(error);
    scheduleProbe();
  };
  redis.defineCommand('takeTokens', { numberOfKeys: 1, lua: TAKE });
  return {
    take: (key, rate, cost) => {
      if (!isAvailable || redis.status !== 'ready') return local.take(key, rate, cost);
      return takeIn(key, rate, cost).then(
        ([allowed, tokens]) => allowanceOf(allowed === 1, Number(tokens), rate, cost),
        (error: Error) => {
          failed(error);
          return local.take(key, rate, cost);
        },
      );
    },
  };
}

function allowanceOf(isAllowed: boolean, tokens: number, rate: Rate, cost: number): Allowance {
  const missing = isAllowed ? 0 : cost - tokens;
  return { isAllowed, remaining: Math.floor(tokens), waitMs: (missing * 1_000) / rate.requestsPerSecond };
}
