import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Backoff } from './index.ts';

test('law: delays double up to the maximum; with jitter, each is between half and all of that value', () =>
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 1_000, max: 60_000 }), (firstMs, maxMs) => {
      const exact = new Backoff(firstMs, maxMs, 'none');
      const jittered = new Backoff(firstMs, maxMs);
      for (let attempt = 0; attempt < 40; attempt++) {
        const delay = Math.min(maxMs, firstMs * 2 ** attempt);
        assert.equal(exact.next(), delay);
        const ms = jittered.next();
        assert.ok(ms >= Math.floor(delay / 2) && ms <= Math.ceil(delay), `${ms} of ${delay}`);
      }
      assert.equal(exact.attempts, 40);
      exact.reset();
      assert.equal(exact.next(), firstMs);
    }),
  ));
