import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candle, Gap, InstrumentCommand, InstrumentEvent, Interval, Trade } from '@millrace/contracts';
import { given } from '@millrace/kernel/testing';
import { candleOf } from './bars.ts';
import type { Instrument } from './instrument.ts';
import { instrumentZone } from './zone.ts';

const zone = instrumentZone({ lateWindowMs: 600_000, outlierPercent: 20 });
const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const MINUTE = 60_000;

function trade(order: number, at: number, price = '100', quantity = '1'): Trade {
  return { id: String(order), order, time: START + at, price, quantity, side: 'buy' };
}
const record = (one: Trade, numbered = true): InstrumentCommand => ({ type: 'RecordTrade', trade: one, numbered });
const candlesOf = (state: Instrument, interval: Interval): Candle[] => state.bars[interval].map(candleOf);

describe('an instrument', () => {
  test('builds a candle from trades, and closes it when time passes', () => {
    given(zone)
      .when(record(trade(1, 0, '100')), record(trade(2, 10_000, '103', '0.5')), record(trade(3, 59_999, '99', '2')))
      .state((state) =>
        assert.deepEqual(candlesOf(state, '1m'), [{ time: START, open: 100, high: 103, low: 99, close: 99, volume: 3.5, trades: 3 }]),
      )
      .when(record(trade(4, MINUTE, '101')))
      .state((state) => {
        assert.equal(state.bars['1m'][0]?.closed, true);
        assert.equal(state.bars['1h'][0]?.closed, false);
      });
  });

  test('closes candles smallest first, each once', () => {
    const { events } = given(zone)
      .when(record(trade(1, 0)))
      .when(record(trade(2, 5 * MINUTE)));
    assert.deepEqual(
      events.map((event) => (event.type === 'CandleClosed' ? event.interval : event.type)),
      ['1s', '5s', '10s', '30s', '1m', '3m', '5m', 'TradeRecorded'],
    );
  });

  test('a candle computed by the store is corrected by that of the venue and not closed twice', () => {
    const candle = (at: number): Candle => ({ time: START + at, open: 11, high: 11, low: 11, close: 11, volume: 7, trades: 1 });
    const command = (interval: Interval, at: number): InstrumentCommand => ({ type: 'RecordCandle', interval, candle: candle(at) });
    const { events } = given(zone)
      .when(record(trade(1, -10 * MINUTE)), record(trade(2, 20 * MINUTE)))
      // Older than is kept, in a candle of 15 minutes that is not.
      .when(command('1m', 5 * MINUTE))
      .when(command('15m', 0));
    assert.deepEqual(
      events.filter((event) => 'interval' in event).map((event) => [event.type, event.interval, 'old' in event && event.old]),
      [
        ['CandleRecorded', '15m', false],
        ['CandleCorrected', '15m', true],
      ],
    );
  });

  test('a quote closes candles too, after a delay for their last trades', () => {
    const quote = (at: number): InstrumentCommand => ({
      type: 'ObserveQuote',
      quote: { time: START + at, bid: '1', bidQuantity: '1', ask: '2', askQuantity: '1' },
    });
    given(zone)
      .when(record(trade(1, 0)))
      .when(quote(1_500))
      .emitsTypes('QuoteChanged')
      .when(quote(2_000))
      .emitsTypes('CandleClosed');
    const untimed: InstrumentCommand = {
      type: 'ObserveQuote',
      quote: { time: START + 9e9, bid: '1', bidQuantity: '1', ask: '2', askQuantity: '1' },
      untimed: true,
    };
    given(zone)
      .when(record(trade(1, 0)))
      .when(untimed)
      .emitsTypes('QuoteChanged');
  });

  test('a late trade corrects the candles it belongs to, as a new version', () => {
    const { events } = given(zone)
      .when(record(trade(1, 0)), record(trade(3, 2 * MINUTE)))
      .when(record(trade(2, 30_000, '120', '1')));
    assert.deepEqual(
      events.map((event) => (event.type === 'CandleCorrected' ? `${event.interval} v${event.version}` : event.type)),
      ['TradeRecorded', '1s v1', '5s v1', '10s v1', '30s v1', '1m v2'],
    );
    const corrected = events.find((event) => event.type === 'CandleCorrected' && event.interval === '1m');
    assert.equal(corrected?.type === 'CandleCorrected' && corrected.candle.high, 120);
  });

  test('a trade that is too late for its candle is still recorded and counted', () => {
    given(zone)
      .when(record(trade(1, 0)), record(trade(3, 20 * MINUTE)))
      .when(record(trade(2, 1_000)))
      .state((state) => assert.deepEqual([state.quality.counts.lateBeyondWindow, state.quality.counts.trades], [1, 3]));
  });

  test('a repeat is refused and counted, however old a numbered one is', () => {
    given(zone)
      .when(...Array.from({ length: 50 }, (_none, index) => record(trade(index + 1, index * 1_000))))
      .when(record(trade(1, 0)))
      .emits({ type: 'TradeRefused', trade: trade(1, 0), reason: 'duplicate' })
      .state((state) => assert.equal(state.quality.counts.duplicates, 1));
  });

  test('trades without a number are distinguished by their ids', () => {
    given(zone)
      .when(record({ ...trade(5, 0), id: 'a' }, false), record({ ...trade(5, 0), id: 'b' }, false))
      .emitsTypes('TradeRecorded')
      .when(record({ ...trade(5, 0), id: 'a' }, false))
      .emitsTypes('TradeRefused');
  });

  test('fault 54: a trade without a number that is older than the dedup window is refused and reported; one of a file is accepted', () => {
    const many = Array.from({ length: 5_000 }, (_none, index) =>
      record({ ...trade(index % 7, index * 10), id: `t${index}`, order: index % 7 }, false),
    );
    const set = given(zone)
      .when(...many)
      .state((state) => assert.equal(state.quality.counts.trades, 5_000));
    for (const index of [0, 500]) set.when(many[index] as InstrumentCommand).emitsTypes('TradeRefused');
    set.state((state) => assert.deepEqual([state.quality.counts.duplicates, state.quality.counts.quarantined], [0, 2]));
    set.when(many[904] as InstrumentCommand).state((state) => assert.equal(state.quality.counts.duplicates, 1));
    set
      .when({ ...record({ ...trade(1, 0), id: 'new' }, false), from: { file: 'f', at: 1 } } as InstrumentCommand)
      .state((state) => assert.equal(state.quality.counts.trades, 5_001));
  });

  test('invalid prices are refused', () => {
    for (const price of ['0', '-1', 'NaN', '1,5', ''])
      given(zone)
        .when(record(trade(1, 0, price)))
        .emits({ type: 'TradeRefused', trade: trade(1, 0, price), reason: 'schema' });
  });

  test('an outlier is kept and marked; after a real jump the mean follows', () => {
    const calm = Array.from({ length: 20 }, (_none, index) => record(trade(index + 1, index, '100')));
    given(zone)
      .when(...calm)
      .when(record(trade(21, 100, '150')))
      .state((state) => assert.equal(state.quality.counts.outliers, 1))
      .when(...Array.from({ length: 400 }, (_none, index) => record(trade(22 + index, 101 + index, '150'))))
      .when(record(trade(1_000, 10_000, '150')))
      .state((state) => assert.equal(state.quality.counts.trades, 422))
      .state((state) => assert.ok(state.typicalPrice > 130));
  });

  test('weeks start on Monday, days at midnight UTC', () => {
    given(zone)
      .when(record(trade(1, 0)))
      .state((state) => {
        assert.equal(new Date(state.bars['1w'][0]?.time ?? 0).toISOString(), '2026-01-05T00:00:00.000Z');
        assert.equal(new Date(state.bars['1d'][0]?.time ?? 0).toISOString(), '2026-01-05T00:00:00.000Z');
      });
  });

  test('a repair ends only the gap that it fills, and reports the rest; an older repair without a gap ends all gaps within its time', () => {
    const gap = (afterId: string, beforeId: string): Gap => ({ from: START, to: START, afterId, beforeId, reason: 'lost' });
    const gapsOf = (state: Instrument) => state.quality.gaps.map(({ afterId, beforeId }) => `${afterId}-${beforeId}`);
    const repair = { from: START, to: START, trades: 1 };
    given(zone)
      .when({ type: 'RecordGap', gap: gap('1', '4') }, { type: 'RecordGap', gap: gap('6', '9') })
      .when({ type: 'RecordRepair', ...repair, gap: null, left: [] })
      .state((state) => assert.deepEqual(gapsOf(state), ['6-9', '1-4']))
      .when({ type: 'RecordRepair', ...repair, gap: { afterId: '1', beforeId: '4' }, left: [gap('2', '4')] })
      .state((state) => assert.deepEqual(gapsOf(state), ['2-4', '6-9']));
    const recorded = [gap('1', '4'), gap('6', '9')].map((one): InstrumentEvent => ({ type: 'GapRecorded', gap: one }));
    given(zone, ...recorded, { type: 'GapRepaired', ...repair }).state((state) => assert.deepEqual(gapsOf(state), []));
  });

  test('candles of the venue are compared with ours, and differences are reported', () => {
    const theirs = { time: START, open: 100, high: 100, low: 100, close: 100, volume: 1, trades: 1 };
    const observe = (candle: Candle): InstrumentCommand => ({ type: 'ObserveVenueCandle', interval: '1m', candle, closed: true });
    given(zone)
      .when(record(trade(1, 0)))
      .when(observe(theirs))
      .state(({ quality }) => assert.deepEqual([quality.counts.candlesCompared, quality.counts.candlesDiffering], [1, 0]))
      .when(observe({ ...theirs, volume: 2 }))
      .state(({ quality }) => assert.deepEqual([quality.counts.candlesDiffering, quality.differences[0]?.theirs.volume], [1, 2]));
  });

  test('a feed of candles fills the larger intervals from the smaller', () => {
    const hour = (index: number): InstrumentCommand => ({
      type: 'RecordCandle',
      interval: '1h',
      candle: { time: START + index * 3_600_000, open: 10 + index, high: 20 + index, low: 5, close: 11 + index, volume: 1, trades: 0 },
    });
    given(zone)
      .when(hour(0), hour(1), hour(2), hour(3))
      .state((state) =>
        assert.deepEqual(
          candlesOf(state, '4h').map(({ open, high, close, volume }) => [open, high, close, volume]),
          [
            [10, 22, 13, 3],
            [13, 23, 14, 1],
          ],
        ),
      )
      .when(hour(3))
      .nothing();
  });
});

describe('imported rows of a file', () => {
  test('advance the stored position in the file, also refused ones', () => {
    const from = (at: number) => ({ from: { file: 'f', at } });
    given(zone)
      .when({ ...record(trade(1, 0)), ...from(1) } as InstrumentCommand)
      .when({ ...record(trade(1, 0)), ...from(2) } as InstrumentCommand)
      .emits({ type: 'TradeRefused', trade: trade(1, 0), reason: 'duplicate', ...from(2) })
      .when({ type: 'RecordReading', reading: { time: START, name: 'x', value: 1 }, ...from(3) })
      .state((state) => assert.deepEqual(state.files, { f: 3 }));
    given(zone)
      .when(
        ...Array.from(
          { length: 20 },
          (_none, index) => ({ ...record(trade(index, 0)), from: { file: `f${index}`, at: 1 } }) as InstrumentCommand,
        ),
      )
      .state((state) =>
        assert.deepEqual(
          Object.keys(state.files),
          Array.from({ length: 16 }, (_none, index) => `f${index + 4}`),
        ),
      );
  });
});

describe('a reading', () => {
  const reading = (at: number, value: number): InstrumentCommand => ({
    type: 'RecordReading',
    reading: { time: START + at, name: 'temperature', value },
  });

  test('fault 61: that is polled again without a change is recorded once', () => {
    given(zone)
      .when(reading(0, 1))
      .emitsTypes('ReadingRecorded')
      .when(reading(0, 1))
      .nothing()
      .when(reading(0, 2))
      .emitsTypes('ReadingRecorded')
      .when(reading(1, 2))
      .emitsTypes('ReadingRecorded');
  });
});

describe('a gap', () => {
  const repair = (interval: Interval, at: number, volume: number): InstrumentCommand => ({
    type: 'RecordCandle',
    interval,
    candle: { time: START + at, open: 100, high: 130, low: 90, close: 101, volume, trades: 9 },
    replacesIncomplete: true,
  });
  const volumes = (state: Instrument, interval: Interval) => candlesOf(state, interval).map(({ volume }) => volume);

  test('is repaired with candles of the venue, also in larger candles, open or closed', () => {
    const set = given(zone).when(record(trade(1, 0)), record(trade(9, 4 * MINUTE)), record(trade(10, 6 * MINUTE)));
    const { events } = set.when(repair('1m', 0, 5)).state((state) => {
      assert.equal(volumes(state, '1m')[0], 5);
      assert.deepEqual(volumes(state, '5m'), [6, 1]);
      assert.deepEqual(volumes(state, '1h'), [7]);
    });
    assert.deepEqual(
      events.map((event) => (event.type === 'CandleCorrected' ? `${event.interval} v${event.version}` : event.type)),
      ['CandleRecorded', '1m v2', '3m v2', '5m v2'],
    );
    set.when(repair('1m', 2 * MINUTE, 3)).state((state) => {
      assert.deepEqual(volumes(state, '1m'), [5, 3, 1, 1]);
      assert.deepEqual(volumes(state, '5m'), [9, 1]);
    });
    set.when(repair('1m', 2 * MINUTE, 3)).nothing();
  });

  test('older than memory is repaired in the store', () => {
    given(zone)
      .when(record(trade(1, 0)), record(trade(9, 60 * MINUTE)))
      .when(repair('1m', 5 * MINUTE, 3))
      .emitsTypes('CandleRecorded', 'CandleCorrected', 'PastCandlesChanged');
  });
});

describe('a snapshot of version 1', () => {
  test('keeps its candles', () => {
    const older = {
      ...zone.create('x'),
      newestAt: START + 90_000,
      seen: { stretches: [], ids: new Map([['a', START * 1_000]]), forgottenRank: START * 1_000 - 1_000 },
      bars: Object.fromEntries(
        (['1m', '1d', '1w'] as const).map((interval) => [
          interval,
          [
            { time: START - (interval === '1m' ? 0 : START % 86_400_000), open: 5, high: 9, low: 4, close: 6, volume: 10, volumeError: 0 },
          ].map((bar) => ({ ...bar, decimals: 0, trades: 3, firstRank: 1, lastRank: 3, closed: false, version: 0, origin: 'venue' })),
        ]),
      ),
    };
    const state = zone.upcastState?.(older, 1) as Instrument;
    const candle = { time: START + MINUTE, open: 7, high: 11, low: 6, close: 8, volume: 2, trades: 1 };
    zone.evolve(state, { type: 'CandleRecorded', interval: '1m', candle });
    zone.evolve(state, { type: 'CandleRecorded', interval: '1m', candle: { ...candle, close: 9, volume: 3 } });
    assert.deepEqual(
      candlesOf(state, '1d').map(({ open, high, low, close, volume, trades }) => [open, high, low, close, volume, trades]),
      [[5, 11, 4, 9, 13, 4]],
    );
    zone.evolve(state, { type: 'TradeRecorded', trade: trade(9, 150_000, '20', '1'), numbered: true });
    assert.deepEqual(
      candlesOf(state, '1w').map(({ high, close, volume }) => [high, close, volume]),
      [[20, 20, 14]],
    );
  });
});
