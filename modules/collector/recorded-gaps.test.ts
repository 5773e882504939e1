import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Gap, Trade } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import fc from 'fast-check';
import { RecordedGaps, type RecordedGapsOptions } from './recorded-gaps.ts';
import { isInGap, type TradeGap } from './source.ts';

const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const HALF_A_DAY_MS = 12 * 3_600_000;
const tradeOf = (order: number): Trade => ({ id: `${order}`, order, time: START + order * 10, price: '1', quantity: '1', side: 'buy' });
const trades = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_none, index) => tradeOf(from + index));
const gapOf = (after: number, before: number): TradeGap => ({
  after: tradeOf(after),
  since: tradeOf(after).time,
  before: tradeOf(before),
});

function setting(options: Partial<RecordedGapsOptions>) {
  const clock = new ManualClock(START);
  const delivered: number[] = [];
  const repairs: { trades: number; left: readonly Gap[] }[] = [];
  const gaps = new RecordedGaps({
    clock,
    deliver: ({ order }) => void delivered.push(order),
    fetch: null,
    disorderMs: 0,
    unrecorded: async (some) => some,
    recordRepair: ({ trades, left }) => void repairs.push({ trades, left }),
    ...options,
  });
  const pass = async () => {
    for (let hour = 0; hour < 12; hour++) await clock.advance(HALF_A_DAY_MS / 12);
  };
  return { clock, gaps, delivered, repairs, pass };
}

describe('a recorded gap', () => {
  test('delivers each trade of the history once, wherever its reads fail', () =>
    fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.uniqueArray(fc.integer({ min: 2, max: 19 })),
        fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 5 }),
        async (numbered, lacking, failures) => {
          const history = trades(1, 20).filter(({ order }) => !lacking.includes(order));
          let reads = 0;
          const set = setting({
            fetch: async function* (tradeGap) {
              const pagesUntilFailure = failures[reads++];
              const found = history.filter((trade) => isInGap(trade, tradeGap));
              for (let page = 0; page * 3 < found.length; page++) {
                if (page === pagesUntilFailure) throw new Error('503');
                yield found.slice(page * 3, page * 3 + 3);
              }
            },
          });
          set.gaps.fillLater(gapOf(1, 20), numbered);
          await set.pass();
          const expected = history.map(({ order }) => order).filter((order) => order > 1 && order < 20);
          assert.deepEqual(set.delivered, expected);
          if (numbered && expected.length === 0) return assert.deepEqual(set.repairs, []);
          const missing = set.repairs[0]?.left.reduce((sum, gap) => sum + (gap.missing ?? 0), 0);
          assert.deepEqual([set.repairs.length, set.repairs[0]?.trades, missing], [1, expected.length, numbered ? lacking.length : 0]);
        },
      ),
    ));

  test('stays recorded while it is not known which of its trades are recorded', async () => {
    let reads = 0;
    const set = setting({
      disorderMs: 1_000,
      fetch: async function* () {
        yield trades(-100, 30);
      },
      unrecorded: async (some) => {
        if (reads++ < 3) throw new Error('the store is not available');
        assert.deepEqual([set.delivered, set.repairs], [[], []]);
        return some.filter(({ order }) => order > 10 && order < 20);
      },
    });
    set.gaps.fillLater(gapOf(10, 20), false);
    await set.pass();
    assert.deepEqual(set.delivered, [11, 12, 13, 14, 15, 16, 17, 18, 19]);
    assert.deepEqual(set.repairs, [{ trades: 9, left: [] }]);
  });

  test('stays recorded when the history does not reach back to it', async () => {
    const set = setting({
      disorderMs: 10,
      fetch: async function* () {
        yield trades(30, 40);
      },
    });
    set.gaps.fillLater(gapOf(10, 20), false);
    await set.pass();
    assert.deepEqual([set.delivered, set.repairs], [[], []]);
  });

  test('stays recorded up to the first trade of a history that begins within it', async () => {
    const set = setting({
      disorderMs: 10,
      fetch: async function* () {
        yield trades(15, 40);
      },
      unrecorded: async (some) => some.filter(({ order }) => order < 20),
    });
    set.gaps.fillLater(gapOf(10, 20), false);
    await set.pass();
    const left = { from: START + 90, to: START + 160, afterId: '10', beforeId: '15', reason: 'the venue’s history begins later' };
    assert.deepEqual([set.delivered, set.repairs], [[15, 16, 17, 18, 19], [{ trades: 5, left: [left] }]]);
  });

  test('is retried with jitter: gaps of many instruments begin together', async () => {
    const readAt = new Set<number>();
    const set = setting({
      // biome-ignore lint/correctness/useYield: it cannot be read.
      fetch: async function* () {
        readAt.add(set.clock.elapsed());
        throw new Error('503');
      },
    });
    for (let gaps = 0; gaps < 20; gaps++) set.gaps.fillLater(gapOf(1, 20), true);
    await set.clock.advance(30_000);
    assert.ok(readAt.size > 10, `${readAt.size} different times for 20 gaps`);
  });

  test('with trades that are recorded already counts only the others as filled', async () => {
    const set = setting({
      fetch: async function* () {
        yield trades(11, 19);
      },
      unrecorded: async (some, numbered) => some.filter(({ order }) => numbered && order > 15),
    });
    set.gaps.fillLater(gapOf(10, 20), true);
    await set.pass();
    assert.deepEqual(set.delivered, [16, 17, 18, 19]);
    assert.deepEqual(set.repairs, [{ trades: 4, left: [] }]);
  });
});
