import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fullBucket, takeFrom, waitFor } from './token-bucket.ts';

test('law: no window has more requests than burst and rate allow, and a refused request succeeds after the returned delay', () =>
  fc.assert(
    fc.property(
      fc.record({ requestsPerSecond: fc.integer({ min: 1, max: 1_000 }), burst: fc.integer({ min: 1, max: 500 }) }),
      fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 300 }),
      (rate, pauses) => {
        const bucket = fullBucket(rate, 0);
        const taken: number[] = [];
        let now = 0;
        for (const pause of pauses) {
          now += pause;
          if (takeFrom(bucket, rate, 1, now)) taken.push(now);
          else {
            const ms = waitFor(bucket, rate, 1);
            assert.ok(ms > 0 && ms <= 1_000 / rate.requestsPerSecond);
            assert.ok(takeFrom({ ...bucket }, rate, 1, now + ms + 1e-6));
          }
          assert.ok(bucket.tokens >= 0 && bucket.tokens <= rate.burst);
        }
        for (let first = 0; first < taken.length; first++)
          for (let last = first; last < taken.length; last++) {
            const window = (taken[last] as number) - (taken[first] as number);
            assert.ok(last - first + 1 <= rate.burst + (window * rate.requestsPerSecond) / 1_000 + 1e-6);
          }
      },
    ),
    { numRuns: 50 },
  ));
