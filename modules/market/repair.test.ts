import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  INTERVAL_MS,
  type InstrumentCommand,
  type InstrumentEvent,
  type InstrumentId,
  instrumentId,
  openingOf,
  type Trade,
} from '@millrace/contracts';
import { zoneAddress } from '@millrace/kernel';
import { given } from '@millrace/kernel/testing';
import { openDuckDbSeries, type SeriesStore } from '@millrace/series';
import fc from 'fast-check';
import { readCandles } from './candles.ts';
import type { Instrument } from './instrument.ts';
import { seriesProjection } from './projection.ts';
import { type RepairParts, repairInstrument } from './repair.ts';
import { instrumentZone } from './zone.ts';

/*
 * The law of repair: after it nothing later than `after` is stored, trades of right times are taken, and candles in memory and in the store
 * equal those recomputed from the right trades alone, as if the spoilt ones had never come. A second time changes nothing.
 */

const START = Date.UTC(2026, 0, 7, 9, 0, 0);
const MINUTE = 60_000;
const DAY_MS = 86_400_000;
const AFTER = START + 3 * MINUTE;
const zone = instrumentZone({ lateWindowMs: MINUTE, outlierPercent: 1e9 });
const record = (trade: Trade, numbered: boolean): InstrumentCommand => ({ type: 'RecordTrade', trade, numbered });
const INTERVALS_CHECKED = ['1s', '1m', '5m', '1w'] as const;
/** Each writes and reads the store some hundred times. On a busy machine fewer are made: those that would begin later do nothing. */
const RUNS = Number(process.env.REPAIR_RUNS ?? 5);
const LAW_MS = RUNS > 5 ? Number.POSITIVE_INFINITY : 1_000;
const EVER = { from: 0, to: Number.MAX_SAFE_INTEGER, order: 'asc', limit: 1_000 } as const;
const ALL = { from: 0, to: Number.MAX_SAFE_INTEGER, page: { order: 'asc', limit: 1_000, cursor: undefined }, asOf: undefined } as const;

type Row = [time: number, open: number, high: number, low: number, close: number, volume: number];

function recompute(all: readonly Trade[], interval: (typeof INTERVALS_CHECKED)[number]): Row[] {
  const ordered = all
    .map((trade, arrival) => ({ ...trade, arrival }))
    .sort((a, b) => a.time - b.time || a.order - b.order || a.arrival - b.arrival);
  return [...Map.groupBy(ordered, ({ time }) => openingOf(time, interval))].map(([time, within]) => {
    const prices = within.map(({ price }) => Number(price));
    const milli = within.reduce((sum, { quantity }) => sum + Math.round(Number(quantity) * 1_000), 0);
    return [time, prices[0] as number, Math.max(...prices), Math.min(...prices), prices.at(-1) as number, milli / 1_000];
  });
}

describe('fault 57: an instrument whose event time ran ahead', () => {
  let folder: string;
  let series: SeriesStore;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-repair-'));
    series = await openDuckDbSeries({ folder, memoryMiB: 64, archiveAfterDays: 1, keepDays: 3_650 });
  });
  after(async () => {
    await series.close();
    rmSync(folder, { recursive: true, force: true });
  });

  let runs = 0;
  /** An instrument with its store: what a command decides waits to be stored, as it does on its way through the log. */
  class Running {
    readonly id: InstrumentId = instrumentId('repair', `A${runs++}-USD`);
    readonly events: InstrumentEvent[] = [];
    readonly #zone = given(zone);
    #stored = 0;

    get state(): Instrument {
      let state: Instrument | undefined;
      this.#zone.state((now) => {
        state = now;
      });
      return state as Instrument;
    }

    send(...commands: InstrumentCommand[]): void {
      for (const command of commands) this.events.push(...(this.#zone.when(command).events as InstrumentEvent[]));
    }

    async settle(): Promise<void> {
      const events = this.events.slice(this.#stored);
      if (events.length === 0) return;
      const batch = { zone: zoneAddress('instrument', this.id), epoch: 1, firstSeq: this.#stored + 1, time: START + 5 * MINUTE, events };
      await seriesProjection(series).apply([batch as never], []);
      this.#stored = this.events.length;
    }

    repair(at = AFTER, onSettled = () => {}): ReturnType<typeof repairInstrument> {
      const parts: RepairParts = {
        series,
        view: () => ({ state: this.state, seq: this.events.length, isIdle: true }),
        settled: async () => {
          await this.settle();
          onSettled();
        },
        submit: async (_id, command) => {
          this.send(command);
          return { ok: true, seq: this.events.length };
        },
      };
      return repairInstrument(parts, this.id, at, 'a clock was wrong');
    }

    /** The instrument as it comes back from its record. */
    replayed(): Instrument {
      let state: Instrument | undefined;
      given(zone, ...this.events).state((now) => {
        state = now;
      });
      return state as Instrument;
    }

    async check(expected: readonly Trade[], state = this.state): Promise<void> {
      const kept = await series.trades({ instrument: this.id, ...EVER });
      assert.deepEqual(
        kept.map(({ id }) => id),
        expected.toSorted((a, b) => a.time - b.time || a.order - b.order).map(({ id }) => id),
      );
      for (const interval of INTERVALS_CHECKED) {
        const { rows } = await readCandles(this.id, state, series, { interval, ...ALL });
        assert.deepEqual(rows, recompute(expected, interval), interval);
        const newest = state.bars[interval].at(-1);
        if (newest && !newest.closed) assert.ok(newest.time + INTERVAL_MS[interval] > state.newestAt);
      }
    }
  }

  const trade = (n: number, at: number, cents = 100, milli = 1): Trade => ({
    id: String(n),
    order: n,
    time: START + at,
    price: (cents / 100).toFixed(2),
    quantity: (milli / 1_000).toFixed(3),
    side: 'buy',
  });
  const some = (from: number, to: number, minLength: number) =>
    fc.array(
      fc.record({
        at: fc.integer({ min: from, max: to }),
        cents: fc.integer({ min: 1, max: 500 }),
        milli: fc.integer({ min: 1, max: 9_999 }),
      }),
      { minLength, maxLength: 12 },
    );
  /** Soon after, within the day, within the week, years away, and of microseconds that were taken for milliseconds. */
  const ahead = fc.constantFrom(3 * MINUTE + 1, 10 * MINUTE, 3_600_000, DAY_MS, 2 * DAY_MS, 9 * DAY_MS, 400 * DAY_MS, START * 999);
  const history = fc.record({
    numbered: fc.boolean(),
    first: some(0, 3 * MINUTE, 0),
    spoilt: fc.array(ahead, { minLength: 1, maxLength: 3 }),
    second: some(0, 3 * MINUTE, 0),
    isStoredBetween: fc.boolean(),
    third: some(0, 5 * MINUTE, 0),
  });

  test('is repaired: memory and store equal the result of the correct trades, also after a restart', async () => {
    const end = performance.now() + LAW_MS;
    await fc.assert(
      fc.asyncProperty(history, async ({ numbered, first, spoilt, second, isStoredBetween, third }) => {
        if (performance.now() > end) return;
        const running = new Running();
        let n = 1;
        const right: Trade[] = [];
        const take = (list: typeof first) => {
          for (const { at, cents, milli } of list) {
            const one = trade(n++, at, cents, milli);
            right.push(one);
            running.send(record(one, numbered));
          }
        };
        take(first);
        const wrong = spoilt.map((at) => trade(n++, at, 77_777, 5));
        for (const one of wrong) running.send(record(one, numbered));
        if (isStoredBetween) await running.settle();
        take(second);
        const repaired = await running.repair();
        assert.deepEqual(new Set(repaired.withdrawn.map(({ id }) => id)), new Set(wrong.map(({ id }) => id)));
        await running.settle();
        await running.check(right);
        assert.equal(running.state.quality.counts.trades, right.length);
        assert.equal(running.state.quality.examples.filter(({ kind }) => kind === 'withdrawn').length, wrong.length);
        const events = running.events.length;
        assert.deepEqual((await running.repair()).withdrawn, []);
        assert.equal(running.events.length, events, 'a second time changes nothing');

        take(third);
        // The same trade, with its right time.
        const again = { ...(wrong[0] as Trade), time: START + 4 * MINUTE };
        right.push(again);
        running.send(record(again, numbered));
        await running.settle();
        await running.check(right);
        await running.check(right, running.replayed());
        // Candles of up to an hour are over.
        const close = trade(n++, 2 * 3_600_000);
        right.push(close);
        running.send(record(close, numbered));
        await running.settle();
        await running.check(right);
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
  });

  test('data that arrives during the repair is not lost: the repair reads again, or is refused with the remedy', async () => {
    const running = new Running();
    const right = [trade(1, 0), trade(2, 1_000)];
    running.send(...right.map((one) => record(one, true)), record(trade(3, 9 * DAY_MS), true));
    let n = 10;
    const come = () => {
      const one = trade(n++, 2_000 + n);
      right.push(one);
      running.send(record(one, false));
    };
    let times = 0;
    await running.repair(AFTER, () => {
      if (times++ === 0) come();
    });
    await running.settle();
    await running.check(right);
    let bid = 1;
    const quote = () =>
      running.send({ type: 'ObserveQuote', quote: { time: START, bid: String(bid++), bidQuantity: '1', ask: '2', askQuantity: '1' } });
    await assert.rejects(running.repair(AFTER, quote), /changes faster/);
  });

  test('quotes, books, readings and venue candles of the future are withdrawn; earlier ones stay', async () => {
    const running = new Running();
    const candle = (time: number, high: number) => ({ time, open: 1, high, low: 1, close: 1, volume: 1, trades: 1 });
    const reading = (time: number): InstrumentCommand => ({ type: 'RecordReading', reading: { time, name: 't', value: time } });
    const far = START + 100 * DAY_MS;
    running.send(
      record(trade(1, 30_000), true),
      { type: 'RecordCandle', interval: '1m', candle: candle(START + MINUTE, 5) },
      { type: 'RecordCandle', interval: '1m', candle: candle(openingOf(far, '1m'), 9) },
      reading(START),
      reading(far),
      { type: 'ObserveQuote', quote: { time: far, bid: '1', bidQuantity: '1', ask: '2', askQuantity: '1' } },
      { type: 'ReplaceBook', book: { time: far, bids: [['1', '1']], asks: [] } },
    );
    await running.repair();
    await running.settle();
    const { state } = running;
    assert.equal(state.asOf, START + MINUTE);
    assert.deepEqual([state.quote, state.book.synced, state.readings], [null, false, {}]);
    const { rows } = await readCandles(running.id, state, series, { interval: '1m', ...ALL });
    assert.deepEqual(
      rows.map(([time, , high]) => [time, high]),
      [
        [START, 1],
        [START + MINUTE, 5],
      ],
    );
    const hour = await readCandles(running.id, state, series, { interval: '1h', ...ALL });
    assert.deepEqual(hour.rows, [[openingOf(START, '1h'), 1, 5, 1, 1, 1.001]]);
    assert.deepEqual(
      (await series.readings({ instrument: running.id, ...EVER })).map(({ time }) => time),
      [START],
    );
  });
});
