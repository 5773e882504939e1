import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Trade } from '@millrace/contracts';
import fc from 'fast-check';
import { emptyDedupWindow, judgeTrade, markSeen, STRETCHES_MAX } from './dedup-window.ts';

const tradeOf = (order: number): Trade => ({ id: String(order), order, time: 0, price: '1', quantity: '1', side: 'buy' });
const FIRST = 1_000_000;

describe('the dedup window', () => {
  test('fault 68: with any wild numbers, new trades count as new and repeated ones as repeated', () =>
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.oneof(fc.integer({ min: 0, max: FIRST - 200_000 }), fc.integer({ min: FIRST + 200_000, max: 9e9 })), {
          minLength: 70,
          maxLength: 150,
          selector: (wild) => Math.floor(wild / 200_000),
        }),
        fc.integer({ min: 1, max: 200 }),
        (wild, count) => {
          const seen = emptyDedupWindow();
          // More wild numbers than are remembered.
          for (let index = 1; index < STRETCHES_MAX; index++) seen.stretches.push([10 ** 10 * index, 10 ** 10 * index]);
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
          assert.ok(seen.stretches.length <= STRETCHES_MAX);
        },
      ),
      { numRuns: 20 },
    ));

  test('with any numbers missing, never says of a new trade that it is recorded, nor of a recorded one that it is new', () =>
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 20 }), fc.array(fc.nat(40_000), { maxLength: 2_000 }), (every, more) => {
        const seen = emptyDedupWindow();
        const marked = new Set<number>();
        const mark = (number: number) => {
          markSeen(seen, tradeOf(number), true);
          marked.add(number);
          assert.equal(judgeTrade(seen, tradeOf(number), true) === 'new', false);
        };
        for (let number = 0; number < every * 1_300; number += every) mark(number);
        more.forEach(mark);
        for (let number = 0; number < 40_000; number += 7) {
          const verdict = judgeTrade(seen, tradeOf(number), true);
          assert.ok(verdict === 'too-late' || (verdict === 'seen') === marked.has(number), `${number} is ${verdict}`);
        }
        assert.ok(seen.stretches.length <= STRETCHES_MAX);
        // No later trade is refused.
        for (let number = 40_001; number < 40_100; number++) assert.equal(judgeTrade(seen, tradeOf(number), true), 'new');
      }),
      { numRuns: 8 },
    ));

  test('without numbers, some trades ahead of the others make no other trade too late', () =>
    fc.assert(
      fc.property(fc.array(fc.nat(5_000), { minLength: 1, maxLength: 1_000 }), fc.integer({ min: 1, max: 60_000 }), (ahead, ms) => {
        const early = new Set(ahead);
        const seen = emptyDedupWindow();
        for (let n = 0; n < 12_000; n++) {
          const trade: Trade = { ...tradeOf(0), id: `t${n}`, time: n * 5 + (early.has(n) ? ms : 0) };
          assert.equal(judgeTrade(seen, trade, false), 'new', `the trade ${n}`);
          markSeen(seen, trade, false);
          assert.equal(judgeTrade(seen, trade, false), 'seen');
        }
      }),
      { numRuns: 20 },
    ));
});
