import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Gap, Trade } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import fc from 'fast-check';
import type { TradeGap } from './source.ts';
import { TradeSequencer } from './trade-sequencer.ts';

const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const FIRST = 1_000_000;

const tradeOf = (order: number, at: number): Trade => ({
  id: String(order),
  order,
  time: START + at,
  price: '1',
  quantity: '1',
  side: 'buy',
});

interface Setting {
  readonly line: TradeSequencer;
  readonly clock: ManualClock;
  readonly delivered: Trade[];
  readonly setAside: Trade[];
  readonly reasons: string[];
  readonly gaps: Gap[];
  readonly tradeGaps: TradeGap[];
}

/** @param past what the venue’s history has by now; null when it has none */
function setting(last: Trade | null = null, past: (() => readonly Trade[]) | null = null): Setting {
  const clock = new ManualClock(START);
  const set = {
    delivered: [] as Trade[],
    setAside: [] as Trade[],
    reasons: [] as string[],
    gaps: [] as Gap[],
    tradeGaps: [] as TradeGap[],
  };
  const line = new TradeSequencer(
    {
      clock,
      deliver: (trade) => void set.delivered.push(trade),
      outOfOrder: () => {},
      fetch:
        past &&
        async function* (tradeGap) {
          set.tradeGaps.push(tradeGap);
          yield past().filter(
            ({ order }) => order > (tradeGap.after?.order ?? 0) && order < (tradeGap.before?.order ?? Number.POSITIVE_INFINITY),
          );
        },
      disorderMs: 0,
      unrecorded: async (trades) => trades,
      recordGap: (gap) => void set.gaps.push(gap),
      recordRepair: () => {},
      doubt: () => {},
      setAside: (trade, reason) => {
        set.setAside.push(trade);
        set.reasons.push(reason);
      },
    },
    last,
  );
  return { line, clock, ...set };
}

/** A wild number far above, far below, or a little beyond what reordering explains. */
const wildNumber = fc.oneof(
  fc.integer({ min: 1, max: FIRST - 100_000 }),
  fc.integer({ min: FIRST + 100_000, max: 9e15 }),
  fc.constantFrom(0, 1, 9e15, Number.MAX_SAFE_INTEGER),
);

describe('trade numbers', () => {
  test('fault 68: after one wild number, later gaps are found, and no huge range is requested', () =>
    fc.assert(
      fc.asyncProperty(
        wildNumber,
        fc.integer({ min: 0, max: 30 }),
        fc.uniqueArray(fc.integer({ min: 2, max: 28 }), { maxLength: 5 }),
        fc.boolean(),
        fc.constantFrom<'nothing' | 'the past'>('nothing', 'the past'),
        async (wild, place, left, interruptedBefore, has) => {
          const all = Array.from({ length: 31 }, (_one, index) => tradeOf(FIRST + index, 1_000 + index * 100));
          let happened = 0;
          const { line, clock, delivered, setAside, gaps, tradeGaps } = setting(
            null,
            has === 'the past' ? () => all.slice(0, happened) : null,
          );
          const came: Trade[] = [];
          const accept = async (trade: Trade) => {
            came.push(trade);
            line.accept(trade, true);
            await clock.advance(300);
          };
          for (const [index, trade] of all.entries()) {
            if (index === place) {
              if (interruptedBefore) line.interrupt('the test said so', trade.time);
              await accept({ ...tradeOf(wild, 0), time: trade.time });
            }
            happened = index + 1;
            if (!left.includes(index)) await accept(trade);
          }
          await clock.advance(300);
          line.close();
          const times = (list: readonly Trade[], order: number) => list.filter((one) => one.order === order).length;
          for (const trade of came)
            assert.equal(times(delivered, trade.order) + times(setAside, trade.order), 1, `${trade.order} is delivered or set aside, once`);
          assert.ok(
            setAside.every(({ order }) => order === wild),
            'only the wild one is set aside',
          );
          for (const gap of gaps) assert.ok((gap.missing ?? 0) <= 31, `a gap of ${gap.missing}`);
          for (const { after, before } of tradeGaps)
            if (after && before) assert.ok(Math.abs(before.order - after.order) <= 31, `asked from ${after.order} to ${before.order}`);
          const known = new Set(delivered.map(({ order }) => order));
          for (const index of left) {
            const lost = FIRST + index;
            if (known.has(lost)) continue;
            const time = (all[index] as Trade).time;
            assert.ok(
              gaps.some(({ from, to }) => from <= time && to >= time),
              `${lost} is missing, and no gap says so`,
            );
          }
        },
      ),
      { numRuns: 300 },
    ));

  test('fault 68: if the newest recorded trade has a wild number, gaps are found after a restart', async () => {
    const { line, clock, delivered, gaps } = setting(tradeOf(9e15, 0));
    for (const [index, order] of [FIRST, FIRST + 1, FIRST + 4, FIRST + 5].entries()) {
      line.accept(tradeOf(order, 1_000 + index * 100), true);
      await clock.advance(300);
    }
    assert.deepEqual(
      delivered.map(({ order }) => order - FIRST),
      [0, 1, 4, 5],
    );
    assert.deepEqual(
      gaps.map(({ missing, afterId, beforeId }) => [missing, afterId, beforeId]),
      [
        [undefined, '9000000000000000', '1000000'],
        [2, '1000001', '1000004'],
      ],
    );
  });

  test('a step that a second trade confirms is a gap: it is requested, or recorded with its size', async () => {
    const { line, clock, delivered, gaps } = setting();
    line.accept(tradeOf(FIRST, 0), true);
    line.accept(tradeOf(FIRST + 1, 10), true);
    line.accept(tradeOf(FIRST + 50_000, 100), true);
    assert.equal(delivered.length, 2, 'the first behind the step waits');
    line.accept(tradeOf(FIRST + 50_001, 110), true);
    await clock.advance(300);
    assert.deepEqual(
      delivered.map(({ order }) => order - FIRST),
      [0, 1, 50_000, 50_001],
    );
    assert.deepEqual(
      gaps.map(({ missing }) => missing),
      [49_998],
    );
  });

  test('after a long interruption the first trade does not wait for a second', async () => {
    const { line, clock, delivered, gaps } = setting(tradeOf(FIRST, 0));
    line.accept(tradeOf(FIRST + 50_000, 3_600_000), true);
    await clock.advance(300);
    assert.equal(delivered.length, 1);
    assert.equal(gaps[0]?.missing, 49_999);
  });

  test('trades that wait when the source ends are quarantined with the reason', () => {
    const { line, setAside, reasons } = setting(tradeOf(FIRST, 0));
    line.accept(tradeOf(9e15, 100), true);
    line.close();
    assert.deepEqual(
      [setAside.length, reasons],
      [1, ['the number of trade 9000000000000000 is far from its neighbours: no other trade came']],
    );
  });

  test('trades that wait for the history are emitted although the history has newer ones', () =>
    fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 12 }),
        fc.subarray([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        async (live, past) => {
          const all = Array.from({ length: 13 }, (_one, index) => tradeOf(FIRST + index, 1_000 + index));
          const { line, clock, delivered, gaps } = setting(all[0], () => past.map((at) => all[at] as Trade));
          line.reconnected();
          for (const at of live) line.accept(all[at] as Trade, true);
          for (let turn = 0; turn < 20; turn++) {
            await clock.advance(1_000);
            await new Promise(setImmediate);
          }
          const numbers = delivered.map(({ order }) => order - FIRST);
          const came = [...new Set([...live, ...past])];
          assert.deepEqual([...new Set(numbers)].sort(ascending), came.sort(ascending), `given ${past}, live ${live}, gaps ${gaps.length}`);
        },
      ),
      { numRuns: 300 },
    ));
});

const ascending = (one: number, other: number) => one - other;
