import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  type Candle,
  INTERVAL_MS,
  INTERVALS,
  type InstrumentCommand,
  type InstrumentEvent,
  type Interval,
  instrumentId,
  openingOf,
  type Trade,
} from '@millrace/contracts';
import { zoneAddress } from '@millrace/kernel';
import { given } from '@millrace/kernel/testing';
import { openDuckDbSeries, type SeriesStore } from '@millrace/series';
import { assertWithinTime } from '@millrace/testing';
import fc from 'fast-check';
import { candleOf, isInexact } from './bars.ts';
import { readCandles } from './candles.ts';
import type { Instrument } from './instrument.ts';
import { seriesProjection } from './projection.ts';
import { instrumentZone } from './zone.ts';

/*
 * The law of candles: whatever came in, in whatever order, a candle is what a recomputation from the trades and the venue’s candles gives: in memory, and
 * in the newest version that was recorded of it. The recomputation here knows nothing of bars: the largest candles of the venue and the trades outside
 * them, in order of time.
 */

const START = Date.UTC(2026, 0, 5, 8, 58, 0);
const MINUTE = 60_000;
/** Longer than a history: nothing is too late. */
const zone = instrumentZone({ lateWindowMs: 60 * MINUTE, outlierPercent: 1e9 });

type Input =
  | { what: 'trade'; at: number; order: number; price: number; quantity: number }
  | { what: 'quote'; at: number }
  | { what: 'candle'; interval: Interval; at: number; low: number; spread: number; volume: number; forming: boolean; repairs: boolean };

/** Many of one second and of one moment, so that ties and neighbours are frequent. */
const at = fc.oneof(
  fc.integer({ min: 0, max: 6 * MINUTE }),
  fc.integer({ min: 0, max: 40 }).map((tenth) => 2 * MINUTE - 2_000 + tenth * 100),
);
const input: fc.Arbitrary<Input> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      what: fc.constant('trade' as const),
      at,
      order: fc.integer({ min: 0, max: 3 }),
      price: fc.integer({ min: 1, max: 200 }),
      quantity: fc.integer({ min: 1, max: 9_999 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('quote' as const), at }) },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant('candle' as const),
      interval: fc.constantFrom<Interval>('1m', '5m', '15m'),
      at,
      low: fc.integer({ min: 1, max: 100 }),
      spread: fc.integer({ min: 0, max: 150 }),
      volume: fc.integer({ min: 1, max: 9_999 }),
      forming: fc.boolean(),
      repairs: fc.boolean(),
    }),
  },
);

function commandOf(one: Input, arrival: number): InstrumentCommand {
  const time = START + one.at;
  if (one.what === 'quote')
    return { type: 'ObserveQuote', quote: { time, bid: '1', bidQuantity: '1', ask: String(2 + arrival), askQuantity: '1' } };
  if (one.what === 'trade') {
    const { order, price, quantity } = one;
    const trade: Trade = { id: `t${arrival}`, order, time, price: String(price), quantity: (quantity / 1_000).toFixed(3), side: 'buy' };
    return { type: 'RecordTrade', trade, numbered: false };
  }
  const { interval, low, spread, volume, forming, repairs } = one;
  const values = {
    open: low + Math.floor(spread / 3),
    high: low + spread,
    low,
    close: low + Math.floor(spread / 2),
    volume: volume / 1_000,
  };
  const candle: Candle = { time: openingOf(time, interval), ...values, trades: 3 };
  return { type: 'RecordCandle', interval, candle, ...(forming && { forming }), ...(repairs && { replacesIncomplete: true }) };
}

/** Something that happened from `time` on, until before `end`. */
interface Part extends Omit<Candle, 'time'> {
  readonly time: number;
  readonly end: number;
  readonly order: number;
  readonly arrival: number;
}

/** What each candle is, by interval and opening. */
function recompute(commands: readonly InstrumentCommand[]): Map<string, Candle> {
  const trades: Part[] = [];
  const given = new Map<string, Part>();
  for (const [arrival, command] of commands.entries()) {
    if (command.type === 'RecordTrade') {
      const { time, order, price, quantity } = command.trade;
      const value = Number(price);
      trades.push({
        time,
        end: time,
        order,
        arrival,
        open: value,
        high: value,
        low: value,
        close: value,
        volume: Number(quantity),
        trades: 1,
      });
    } else if (command.type === 'RecordCandle') {
      const { interval, candle } = command;
      given.set(`${interval} ${candle.time}`, { ...candle, end: candle.time + INTERVAL_MS[interval], order: -1, arrival: -1 });
    }
  }
  const candles = new Map<string, Candle>();
  const all = [...trades, ...given.values()];
  for (const interval of INTERVALS)
    for (const time of new Set(all.map((part) => openingOf(part.time, interval)))) {
      const end = time + INTERVAL_MS[interval];
      const whole = [...given.values()].filter((part) => part.time >= time && part.end <= end);
      const largest = whole.filter((part) => !whole.some((other) => other !== part && other.time <= part.time && other.end >= part.end));
      const outside = trades.filter(
        (part) => part.time >= time && part.time < end && !largest.some((one) => part.time >= one.time && part.time < one.end),
      );
      const parts = [...largest, ...outside].sort((a, b) => a.time - b.time || a.order - b.order || a.arrival - b.arrival);
      const [first] = parts;
      const last = parts.at(-1);
      if (!first || !last) continue;
      candles.set(`${interval} ${time}`, {
        time,
        open: first.open,
        high: Math.max(...parts.map(({ high }) => high)),
        low: Math.min(...parts.map(({ low }) => low)),
        close: last.close,
        volume: parts.reduce((sum, { volume }) => sum + Math.round(volume * 1_000), 0) / 1_000,
        trades: parts.reduce((sum, part) => sum + part.trades, 0),
      });
    }
  return candles;
}

describe('the law of candles', () => {
  test('faults 52, 58, 59: each equals the recomputation from trades and candles of the venue, in memory and in events', () =>
    fc.assert(
      fc.property(fc.array(input, { minLength: 1, maxLength: 60 }), (inputs) => {
        const commands = inputs.map(commandOf);
        const set = given(zone);
        const recorded = new Map<string, Candle>();
        const versions = new Map<string, number>();
        for (const command of commands)
          for (const event of set.when(command).events as InstrumentEvent[]) {
            if (event.type !== 'CandleClosed' && event.type !== 'CandleCorrected') continue;
            const key = `${event.interval} ${event.candle.time}`;
            const version = event.type === 'CandleClosed' ? 1 : event.version;
            assert.equal(version, (versions.get(key) ?? 0) + 1, `the versions of ${key} are numbered without a gap`);
            versions.set(key, version);
            recorded.set(key, event.candle);
          }
        set.state((state) => {
          const expected = recompute(commands);
          const inMemory = barsOf(state);
          assert.deepEqual(new Map([...inMemory].map(([key, { candle }]) => [key, candle])), expected, 'in memory');
          for (const [key, candle] of expected)
            if (inMemory.get(key)?.closed) assert.deepEqual(recorded.get(key), candle, `the newest record of ${key}`);
            else assert.ok(!recorded.has(key), `${key} is open, and nothing of it is on record`);
        });
      }),
      { numRuns: Number(process.env.CANDLE_RUNS ?? 500) },
    ));

  test('no candle but the newest of its interval is open', () =>
    fc.assert(
      fc.property(fc.array(input, { minLength: 1, maxLength: 60 }), (inputs) => {
        given(zone)
          .when(...inputs.map(commandOf))
          .state((state) => {
            for (const interval of INTERVALS)
              for (const bar of state.bars[interval].slice(0, -1)) assert.ok(bar.closed, `${interval} ${bar.time}`);
          });
      }),
      { numRuns: 200 },
    ));
});

/** Trades, quotes and candles of the venue, most of which come when their candles are not in memory any more, or only in part. */
const lateInputs = fc
  .record({
    inputs: fc.array(input, { minLength: 1, maxLength: 25 }),
    /** Up to four hours, half an hour or six minutes, with a window of one minute. */
    scale: fc.constantFrom(40, 5, 1),
    /** Places by which inputs come later than in the order of their times; null for any order. */
    delays: fc.option(fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 25 })), { minLength: 25, maxLength: 25 })),
  })
  .map(({ inputs, scale, delays }) => {
    const scaled = inputs.map((one): Input => ({ ...one, at: one.at * scale, ...(one.what === 'candle' && { forming: false }) }) as Input);
    if (delays === null) return scaled;
    const ordered = scaled.sort((a, b) => a.at - b.at).map((one, place) => ({ one, place: place + (delays[place] ?? 0) }));
    return ordered.sort((a, b) => a.place - b.place).map(({ one }) => one);
  });
const shortZone = instrumentZone({ lateWindowMs: MINUTE, outlierPercent: 1e9 });
/** Each writes to a database many times: without `CANDLE_RUNS` as many as there is time for. */
const runs = process.env.CANDLE_RUNS
  ? { numRuns: Number(process.env.CANDLE_RUNS), ms: Number.POSITIVE_INFINITY }
  : { numRuns: 100, ms: 2_500 };

test('law: a candle that memory takes for exact is exact, whatever was pruned before', () =>
  fc.assert(
    fc.property(lateInputs, (inputs) => {
      const commands = inputs.map(commandOf);
      const set = given(shortZone);
      for (const [index, command] of commands.entries()) {
        set.when(command);
        const expected = recompute(commands.slice(0, index + 1));
        set.state((state) => {
          for (const interval of INTERVALS)
            for (const bar of state.bars[interval])
              if (!isInexact(bar))
                assert.deepEqual(candleOf(bar), expected.get(`${interval} ${bar.time}`), `${interval} after ${index + 1}`);
        });
      }
    }),
    { numRuns: Number(process.env.CANDLE_RUNS ?? 500) },
  ));

const ALL = { order: 'asc', limit: 100_000, cursor: undefined } as const;

describe('the law of candles, in the store', () => {
  let folder: string;
  let store: SeriesStore;
  let instruments = 0;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-law-'));
    store = await openDuckDbSeries({ folder, memoryMiB: 128, archiveAfterDays: 2, keepDays: 36_500 });
  });
  after(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Lets a zone decide, its events be written in batches of up to `together`, and gives what the API answers. */
  async function play(
    commands: readonly InstrumentCommand[],
    together: number,
    archiveAt: number,
  ): Promise<{ answers: Map<string, (number | null)[]>; near: Set<string> }> {
    const id = instrumentId('venue', `T${instruments++}-USD`);
    const set = given(shortZone);
    const projection = seriesProjection(store);
    let seq = 1;
    for (let at = 0; at < commands.length; at += together) {
      const events = commands.slice(at, at + together).flatMap((command) => set.when(command).events as InstrumentEvent[]);
      const batch = { zone: zoneAddress('instrument', id), time: START + at, firstSeq: seq, events } as unknown as Parameters<
        typeof projection.apply
      >[0][number];
      seq += events.length;
      await projection.apply([batch], []);
      if (at <= archiveAt && archiveAt < at + together) await store.archive(START + 30 * 86_400_000);
    }
    const answers = new Map<string, (number | null)[]>();
    let state: Instrument | undefined;
    set.state((one) => {
      state = one;
    });
    for (const interval of INTERVALS) {
      const range = { interval, from: 0, to: Number.MAX_SAFE_INTEGER, page: ALL, asOf: undefined };
      const frame = await readCandles(id, state as Instrument, store, range);
      for (const row of frame.rows) answers.set(`${interval} ${row[0]}`, row);
    }
    const near = new Set<string>();
    for (const interval of INTERVALS)
      for (const bar of (state as Instrument).bars[interval]) if (!bar.closed && isInexact(bar)) near.add(`${interval} ${bar.time}`);
    return { answers, near };
  }

  test('a trade older than the window changes the candles that only the store has, as new versions', async () => {
    const trade = (at: number, price: string): InstrumentCommand => ({
      type: 'RecordTrade',
      trade: { id: `t${at}`, order: 0, time: START + at, price, quantity: '1', side: 'buy' },
      numbered: false,
    });
    const { answers } = await play([trade(0, '5'), trade(120_000, '6'), trade(240_000, '7'), trade(500, '9')], 1, -1);
    for (const interval of ['1s', '1m'] as const)
      assert.deepEqual(answers.get(`${interval} ${START}`), [START, 5, 9, 5, 9, 2], `the ${interval} of the late trade`);
  });

  test('a candle whose smaller candles are partly in memory is computed by the store when a late candle of the venue changes it', async () => {
    const trade = (at: number, price: string): InstrumentCommand => ({
      type: 'RecordTrade',
      trade: { id: `t${at}`, order: 0, time: START + at, price, quantity: '1', side: 'buy' },
      numbered: false,
    });
    // Of the 3m candle from 8:57, memory keeps the minute from 8:59, which ends with it, but no longer the minute from 8:58.
    const candle: Candle = { time: START + MINUTE, open: 5, high: 8, low: 5, close: 6, volume: 3, trades: 2 };
    const { answers } = await play(
      [
        ...[10, 70, 150, 210, 270].map((second, index) => trade(second * 1_000, String(4 + index))),
        { type: 'RecordCandle', interval: '1m', candle },
      ],
      1,
      -1,
    );
    assert.deepEqual(answers.get(`3m ${START - MINUTE}`), [START - MINUTE, 4, 8, 4, 6, 4]);
  });

  test('candles that only the store has equal the recomputation from trades and candles of the venue, however late these are', () =>
    assertWithinTime(
      fc.asyncProperty(
        lateInputs,
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 0, max: 80 }),
        async (inputs, together, archiveAt) => {
          const commands = inputs.map(commandOf);
          const { answers, near } = await play(commands, together, archiveAt);
          const expected = recompute(commands);
          // An open one that something reached too late for its parts is as near as can be until it closes.
          for (const [key, { time, open, high, low, close, volume }] of expected)
            if (!near.has(key)) assert.deepEqual(answers.get(key), [time, open, high, low, close, volume], key);
          assert.equal(answers.size, expected.size);
        },
      ),
      runs,
    ));
});

function barsOf(state: Instrument): Map<string, { candle: Candle; closed: boolean }> {
  return new Map(
    INTERVALS.flatMap((interval) =>
      state.bars[interval].map((bar) => [`${interval} ${bar.time}`, { candle: candleOf(bar), closed: bar.closed }] as const),
    ),
  );
}
