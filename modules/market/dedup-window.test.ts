import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Trade } from '@millrace/contracts';
import fc from 'fast-check';
import { emptyDedupWindow, judgeTrade, markSeen } from './dedup-window.ts';

const tradeOf = (order: number): Trade => ({ id: String(order), order, time: 0, price: '1', quantity: '1', side: 'buy' });
const FIRST = 1_000_000;

describe('the dedup window', () => {
  test('fault 68: with any wild numbers, new trades count as new and repeated ones as repeated', () =>
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.oneof(fc.integer({ min: 0, max: FIRST - 200_000 }), fc.integer({ min: FIRST + 200_000, max: 9e15 })), {
          minLength: 70,
          maxLength: 150,
          selector: (wild) => Math.floor(wild / 200_000),
        }),
        fc.integer({ min: 1, max: 200 }),
        (wild, count) => {
          const seen = emptyDedupWindow();
          for (let next = 0; next < Math.max(wild.length, count); next++) {
            if (next < count) {
              const trade = tradeOf(FIRST + next);
              assert.equal(judgeTrade(seen, trade, true), 'new', `the ${next}th trade`);
              markSeen(seen, trade, true);
              assert.equal(judgeTrade(seen, trade, true), 'seen');
            }
            const number = wild[next];
            if (number !== undefined) markSeen(seen, tradeOf(number), true);
          }
          assert.ok(seen.stretches.length <= 64);
        },
      ),
    ));
});
