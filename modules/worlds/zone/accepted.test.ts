import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCEPTED_WINDOW } from '@millrace/contracts';
import fc from 'fast-check';
import { acceptedNumbers, withAccepted } from './accepted.ts';

test('fault 48: the window stores the outcome of the newest command and of the 48 numbers below it', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 60 })), { maxLength: 200 }), (steps) => {
      let presence = { n: 0, before: 0 };
      const all: number[] = [];
      for (const step of steps) {
        const next = presence.n + step;
        presence = withAccepted(presence, next);
        all.push(next);
      }
      assert.ok(Number.isSafeInteger(presence.before));
      assert.deepEqual(
        acceptedNumbers(presence),
        all.filter((n) => n >= presence.n - ACCEPTED_WINDOW),
      );
    }),
  );
});
