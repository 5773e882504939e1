import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Candle, type InstrumentCommand, type Interval, instrumentId, openingOf, type Trade } from '@millrace/contracts';
import { given } from '@millrace/kernel/testing';
import fc from 'fast-check';
import { candleOf } from './bars.ts';
import type { Instrument } from './instrument.ts';
import { describeInstrument } from './views.ts';
import { instrumentZone } from './zone.ts';

const zone = instrumentZone({ lateWindowMs: 600_000, outlierPercent: 20 });
const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const MINUTE = 60_000;

const ID = instrumentId('venue', 'A-B');

/** A trade whose price is its number. */
const trade = (order: number, at: number): Trade => ({
  id: String(order),
  order,
  time: START + at,
  price: String(order),
  quantity: '1',
  side: 'buy',
});
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

  test('the spark line is the closing prices of the one-minute candles, in every order of arrival', () =>
    fc.assert(
      fc.property(trades, fc.infiniteStream(fc.nat()), (list, dice) => {
        const shuffled = [...list].sort((a, b) => a.time - b.time || ((dice.next().value as number) % 3) - 1);
        const late = shuffled.splice(0, (dice.next().value as number) % shuffled.length);
        given(zone)
          .when(...[...shuffled, ...late].map((one) => record(one)))
          .state((state) =>
            assert.deepEqual(
              describeInstrument(ID, state).spark,
              candlesOf(state, '1m').map(({ close }) => close),
            ),
          );
      }),
      { numRuns: 100 },
    ));

  test('a corrected minute of an older snapshot changes no other closing price', () => {
    given(zone)
      .when(...[1, 2, 3, 4].map((minute) => record(trade(minute, minute * MINUTE))))
      .state((state) => {
        state.minuteOpenings = [];
      })
      .when(record({ ...trade(5, MINUTE + 1), price: '9' }), record(trade(6, 6 * MINUTE)))
      .state(({ minuteCloses }) => assert.deepEqual(minuteCloses, [1, 2, 3, 4]));
  });

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

test('an instrument without trades has the price of its newest candle, of whatever interval', () => {
  const candle = (interval: Interval, at: number, close: number): InstrumentCommand => {
    const time = openingOf(START + at, interval);
    return { type: 'RecordCandle', interval, candle: { time, open: close, high: close, low: close, close, volume: 1, trades: 0 } };
  };
  const priceOf = (...commands: InstrumentCommand[]) => {
    let price: unknown;
    given(zone)
      .when(...commands)
      .state((state) => {
        price = describeInstrument(ID, state).price;
      });
    return price;
  };
  assert.equal(priceOf(), null);
  assert.equal(priceOf(candle('1d', -1_440 * MINUTE, 5), candle('1d', 0, 6)), '6');
  assert.equal(priceOf(candle('1h', 0, 7), candle('1m', 2 * MINUTE, 8)), '8');
  assert.equal(priceOf(candle('1m', -90 * MINUTE, 8), candle('1h', 0, 7)), '7');
});
