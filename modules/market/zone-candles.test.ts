import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candle, InstrumentCommand, Interval, Trade } from '@millrace/contracts';
import { given } from '@millrace/kernel/testing';
import fc from 'fast-check';
import { candleOf } from './bars.ts';
import type { Instrument } from './instrument.ts';
import { instrumentZone } from './zone.ts';

const zone = instrumentZone({ lateWindowMs: 600_000, outlierPercent: 20 });
const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const MINUTE = 60_000;

const record = (one: Trade): InstrumentCommand => ({ type: 'RecordTrade', trade: one, numbered: true });
const candlesOf = (state: Instrument, interval: Interval): Candle[] => state.bars[interval].map(candleOf);

describe('laws of candles', () => {
  const trades = fc
    .array(
      fc.record({
        at: fc.integer({ min: 0, max: 8 * MINUTE }),
        price: fc.integer({ min: 1, max: 200 }),
        quantity: fc.integer({ min: 1, max: 999 }),
      }),
      { minLength: 1, maxLength: 60 },
    )
    .map((list) =>
      list
        .sort((a, b) => a.at - b.at)
        .map(
          ({ at, price, quantity }, index): Trade => ({
            id: String(index + 1),
            order: index + 1,
            time: START + at,
            price: String(price),
            quantity: (quantity / 1_000).toFixed(3),
            side: 'buy',
          }),
        ),
    );
  const run = (list: readonly Trade[]) => {
    let bars: unknown;
    given(zone)
      .when(...list.map((one) => record(one)))
      .state((state) => {
        bars = (['1s', '1m', '3m', '5m', '1h'] as const).map((interval) => candlesOf(state, interval));
      });
    return bars;
  };

  test('the order of arrival makes no difference within the window', () =>
    fc.assert(
      fc.property(trades, fc.infiniteStream(fc.nat()), (list, dice) => {
        const shuffled = [...list];
        for (let index = shuffled.length - 1; index > 0; index--) {
          const other = (dice.next().value as number) % (index + 1);
          [shuffled[index], shuffled[other]] = [shuffled[other] as Trade, shuffled[index] as Trade];
        }
        assert.deepEqual(run(shuffled), run(list));
      }),
      { numRuns: 100 },
    ));

  test('candles built trade by trade equal candles built at once', () =>
    fc.assert(
      fc.property(trades, (list) => {
        let minutes: Candle[] = [];
        given(zone)
          .when(...list.map((one) => record(one)))
          .state((state) => {
            minutes = candlesOf(state, '1m');
          });
        const expected = [...Map.groupBy(list, ({ time }) => time - (time % MINUTE))].map(([time, inside]) => ({
          time,
          open: Number(inside[0]?.price),
          high: Math.max(...inside.map(({ price }) => Number(price))),
          low: Math.min(...inside.map(({ price }) => Number(price))),
          close: Number(inside.at(-1)?.price),
          volume: inside.reduce((sum, { quantity }) => sum + Math.round(Number(quantity) * 1_000), 0) / 1_000,
          trades: inside.length,
        }));
        assert.deepEqual(minutes, expected);
      }),
      { numRuns: 100 },
    ));
});
