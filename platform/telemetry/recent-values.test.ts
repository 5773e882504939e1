import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RecentValues } from './recent-values.ts';

test('law: a quantile is the value that its share of the newest values is not above', () =>
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 })), fc.integer({ min: 1, max: 20 }), (values, size) => {
      const recent = new RecentValues(size);
      for (const value of values) recent.add(value);
      const newest = values.slice(-size);
      assert.equal(recent.count, values.length);
      for (const share of [0, 0.5, 0.99, 1]) {
        const [quantile] = recent.quantiles([share]);
        if (newest.length === 0) assert.equal(quantile, null);
        else {
          assert.ok(newest.some((value) => value === quantile));
          const below = newest.filter((value) => value < (quantile as number)).length;
          const notAbove = newest.filter((value) => value <= (quantile as number)).length;
          assert.ok(below <= newest.length * share && notAbove >= Math.min(newest.length, newest.length * share));
        }
      }
    }),
  ));
