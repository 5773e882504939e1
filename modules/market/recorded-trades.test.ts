import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instrumentId, type Trade } from '@millrace/contracts';
import { given, ManualClock } from '@millrace/kernel/testing';
import fc from 'fast-check';
import { emptyDedupWindow } from './dedup-window.ts';
import { type RecordedTradesParts, unrecordedTrades } from './recorded-trades.ts';
import { instrumentZone } from './zone.ts';

const zone = instrumentZone({ lateWindowMs: 600_000, outlierPercent: 20 });
const BTC = instrumentId('venue', 'BTC-USD');
const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const clock = new ManualClock(START);
const tradeOf = (n: number, numbered: boolean): Trade => ({
  id: numbered ? `${n}` : `t${n}`,
  order: numbered ? n : 0,
  time: START + n,
  price: '1',
  quantity: '1',
  side: 'buy',
});

function storeOf(stored: readonly Trade[]): RecordedTradesParts['series'] {
  const rows = stored.map((trade, arrival) => ({ ...trade, arrival })).sort((a, b) => a.time - b.time || a.arrival - b.arrival);
  return {
    trades: async ({ from, to, limit, after }) => {
      const start = after ? rows.findIndex(({ arrival }) => arrival === after[2]) + 1 : 0;
      return rows
        .slice(start)
        .filter(({ time }) => time >= from && time < to)
        .slice(0, limit);
    },
  };
}

for (const numbered of [true, false])
  test(`the trades of a history that are not recorded are found, whatever was received since: ${numbered ? 'numbered' : 'without numbers'}`, () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 7_000 }),
        fc.integer({ min: 2, max: 9 }),
        fc.integer({ min: 0, max: 6_000 }),
        async (count, every, from) => {
          const isRecorded = (n: number) => n < count && n % every !== 0;
          const set = given(zone);
          const recorded: Trade[] = [];
          for (let n = 0; n < count; n++) if (isRecorded(n)) recorded.push(tradeOf(n, numbered));
          set.when(...recorded.map((trade) => ({ type: 'RecordTrade', trade, numbered }) as const));
          const history = Array.from({ length: 500 }, (_none, index) => tradeOf(from + index, numbered));
          const fill = async () => {
            const parts: RecordedTradesParts = { clock, series: storeOf(recorded), seen: () => window, settled: async () => {} };
            let window = emptyDedupWindow();
            set.state(({ seen }) => {
              window = seen;
            });
            return await unrecordedTrades(parts, BTC, history, numbered);
          };
          const missing = history.filter(({ time }) => !isRecorded(time - START));
          assert.deepEqual(await fill(), missing);
          // The zone records all of them, and each once, although nothing is stored yet.
          for (let time = 0; time < 2; time++)
            set.when(...missing.map((trade) => ({ type: 'RecordTrade', trade, numbered, backfilled: true }) as const));
          set.state(({ quality: { counts } }) => assert.equal(counts.trades, recorded.length + missing.length));
        },
      ),
      { numRuns: 8, examples: [[6_278, 3, 0]] },
    ));

test('the stored trades are read after all that was decided is stored, and an unreadable store is an error', async () => {
  const window = { ...emptyDedupWindow(), forgottenAt: START + 50 };
  const history = [tradeOf(1, false), tradeOf(99, false)];
  const steps: string[] = [];
  const series: RecordedTradesParts['series'] = {
    trades: async (query) => {
      steps.push('read');
      return await storeOf([tradeOf(1, false)]).trades(query);
    },
  };
  const settled = async () => void steps.push('settled');
  assert.deepEqual(await unrecordedTrades({ clock, series, seen: () => window, settled }, BTC, history, false), [tradeOf(99, false)]);
  assert.deepEqual(steps, ['settled', 'read']);
  const fails = () => Promise.reject(new Error('not confirmed'));
  await assert.rejects(unrecordedTrades({ clock, series, seen: () => window, settled: fails }, BTC, history, false), /not confirmed/);
  // Nothing is read when the window can tell.
  assert.deepEqual(await unrecordedTrades({ clock, series, seen: () => window, settled: fails }, BTC, history.slice(1), false), [
    tradeOf(99, false),
  ]);
});

test('a store that does not answer is an error after 10 s: newer trades wait for it', async () => {
  const window = { ...emptyDedupWindow(), forgottenAt: START + 50 };
  const series: RecordedTradesParts['series'] = { trades: () => new Promise(() => {}) };
  const found = unrecordedTrades({ clock, series, seen: () => window, settled: async () => {} }, BTC, [tradeOf(1, false)], false);
  const refused = assert.rejects(found, /no answer from the store within 10000 ms/);
  await clock.advance(10_000);
  await refused;
});
