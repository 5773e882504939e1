import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ring } from './ring.ts';

test('a ring gives what it was given, in that order, however it fills and empties', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -3_000, max: 3_000 }), { maxLength: 40 }), (steps) => {
      const ring = new Ring<number>();
      const wanted: number[] = [];
      let next = 0;
      for (const step of steps) {
        for (let count = 0; count < step; count++) {
          ring.push(next);
          wanted.push(next++);
        }
        for (let count = 0; count < -step; count++) assert.equal(ring.take(), wanted.shift());
        assert.equal(ring.size, wanted.length);
      }
    }),
    { numRuns: 200 },
  );
});
