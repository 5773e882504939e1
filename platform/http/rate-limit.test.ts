import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Allowance, countedAs, MemoryRateLimiter, setRateHeaders } from './rate-limit.ts';

/** The rate-limit headers of a response. */
function headersOf(allowance: Allowance): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  const header = (name: string, value: unknown) => {
    fields[name] = value;
  };
  setRateHeaders({ header } as never, countedAs('k', rate), allowance);
  return fields;
}

const rate = { requestsPerSecond: 10, burst: 40 };

test('allows a burst at once, then the rate', () => {
  let now = 0;
  const limiter = new MemoryRateLimiter(() => now);
  const allowed = (times: number) =>
    Array.from({ length: times }, () => limiter.take('k', rate, 1)).filter(({ isAllowed }) => isAllowed).length;
  assert.equal(allowed(100), 40);
  now += 1_000;
  assert.equal(allowed(100), 10);
  now += 100_000;
  assert.equal(allowed(100), 40);
});

test('law: never allows more than the burst plus the refill, and allows a request after its wait', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ waitMs: fc.integer({ min: 0, max: 400 }), cost: fc.integer({ min: 1, max: 5 }) }), {
        minLength: 50,
        maxLength: 300,
      }),
      (requests) => {
        let now = 0;
        let spent = 0;
        const limiter = new MemoryRateLimiter(() => now);
        for (const { waitMs, cost } of requests) {
          now += waitMs;
          const { isAllowed, remaining, waitMs: toWait } = limiter.take('k', rate, cost);
          if (isAllowed) spent += cost;
          else {
            assert.ok(remaining < cost && toWait > 0);
            // The reported wait is enough.
            now += Math.ceil(toWait);
            assert.ok(limiter.take('k', rate, cost).isAllowed);
            spent += cost;
          }
        }
        assert.ok(spent <= rate.burst + (now * rate.requestsPerSecond) / 1_000 + 1e-6);
      },
    ),
  );
});

test('keys have separate buckets', () => {
  const limiter = new MemoryRateLimiter(() => 0);
  for (let count = 0; count < 50; count++) limiter.take('one', rate, 1);
  assert.equal(limiter.take('other', rate, 1).isAllowed, true);
  assert.equal(limiter.size, 2);
});

test('the headers contain the limit, the requests left and Retry-After', () => {
  const limiter = new MemoryRateLimiter(() => 0);
  assert.deepEqual(headersOf(limiter.take('k', rate, 1)), {
    'ratelimit-policy': '"requests";q=40;w=4',
    ratelimit: '"requests";r=39;t=1',
  });
  limiter.take('k', rate, 39);
  assert.deepEqual(headersOf(limiter.take('k', rate, 15)), {
    'ratelimit-policy': '"requests";q=40;w=4',
    ratelimit: '"requests";r=0;t=4',
    'retry-after': '2',
  });
});
