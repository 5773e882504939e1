import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { INTERVAL_MS, type InstrumentCommand, type InstrumentId, instrumentId, openingOf, type Trade } from '@millrace/contracts';
import { zoneAddress } from '@millrace/kernel';
import { given } from '@millrace/kernel/testing';
import { openDuckDbSeries, type SeriesStore } from '@millrace/series';
import fc from 'fast-check';
import fastify from 'fastify';
import { readCandles } from './candles.ts';
import type { Instrument } from './instrument.ts';
import { seriesProjection } from './projection.ts';
import { udfRoutes } from './udf.ts';
import { instrumentZone } from './zone.ts';

/*
 * The law of prices around zero: with the setting, candles and trades in memory, in the store, in the archive and in the answers equal those recomputed
 * from the trades; without it, what is not above zero is refused and the rest is as if it had not come.
 */

const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const DAY_MS = 86_400_000;
/** On a busy machine fewer runs are made: those that would begin later do nothing. */
const LAW_MS = 1_500;
const zone = instrumentZone({ lateWindowMs: 60_000, outlierPercent: 20 });
const list = (negativePrices: boolean): InstrumentCommand => ({
  type: 'ListInstrument',
  source: 's',
  symbol: 'CL',
  simulated: false,
  negativePrices,
});
const record = (trade: Trade): InstrumentCommand => ({ type: 'RecordTrade', trade, numbered: false });

/** Prices in hundredths, many of them next to zero, and minus zero as venues write it. */
const price = fc.oneof(
  fc.integer({ min: -300, max: 300 }).map((cents) => (cents / 100).toFixed(2)),
  fc.integer({ min: -4_000, max: 4_000 }).map((cents) => (cents / 100).toFixed(2)),
  fc.constantFrom('0', '-0', '0.00', '-0.00', '-1E-3'),
);
const trades = fc
  .array(fc.record({ at: fc.integer({ min: 0, max: 150_000 }), price, milli: fc.integer({ min: 1, max: 9_999 }) }), {
    minLength: 1,
    maxLength: 40,
  })
  .map((all) =>
    all.map(
      ({ at, price: written, milli }, index): Trade => ({
        id: `t${index}`,
        order: index,
        time: START + at,
        price: written,
        quantity: (milli / 1_000).toFixed(3),
        side: 'sell',
      }),
    ),
  );

type Row = readonly [time: number, open: number, high: number, low: number, close: number, volume: number];

/** Candles of an interval, of the trades alone. */
function recompute(all: readonly Trade[], length: number, opening: (time: number) => number): Row[] {
  const ordered = all.toSorted((a, b) => a.time - b.time || a.order - b.order);
  return [...Map.groupBy(ordered, ({ time }) => opening(time))].map(([time, within]) => {
    const prices = within.map((trade) => Number(trade.price) + 0);
    const milli = within.reduce((sum, { quantity }) => sum + Math.round(Number(quantity) * 1_000), 0);
    assert.ok(within.every((trade) => trade.time >= time && trade.time < time + length));
    return [time, prices[0] as number, Math.max(...prices), Math.min(...prices), prices.at(-1) as number, milli / 1_000];
  });
}

const withoutMinusZero = (row: readonly number[]) => row.map((value) => value + 0);

describe('fault 69: prices of zero and below', () => {
  let folder: string;
  let series: SeriesStore;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-negative-'));
    series = await openDuckDbSeries({ folder, memoryMiB: 64, archiveAfterDays: 1, keepDays: 3_650 });
  });
  after(async () => {
    await series.close();
    rmSync(folder, { recursive: true, force: true });
  });

  let runs = 0;
  /** Puts trades through the zone and its events into the store. */
  async function stored(all: readonly Trade[], negativePrices: boolean): Promise<{ id: InstrumentId; state: Instrument }> {
    const id = instrumentId('law', `CL${runs++}-USD`);
    const set = given(zone);
    const events = [list(negativePrices), ...all.map(record)].flatMap((command) => [...set.when(command).events]);
    const batch = { zone: zoneAddress('instrument', id), epoch: 1, firstSeq: 1, time: START + 200_000, events };
    await seriesProjection(series).apply([batch as never], []);
    let last: Instrument | undefined;
    set.state((state) => {
      last = state;
    });
    return { id, state: last as Instrument };
  }

  async function check(id: InstrumentId, state: Instrument, expected: readonly Trade[]): Promise<void> {
    const ever = { from: 0, to: Number.MAX_SAFE_INTEGER, order: 'asc', limit: 1_000 } as const;
    const page = { order: 'asc', limit: 1_000, cursor: undefined } as const;
    const kept = await series.trades({ instrument: id, ...ever });
    assert.deepEqual(
      kept.map((trade) => [trade.id, trade.price]),
      expected.toSorted((a, b) => a.time - b.time || a.order - b.order).map((trade) => [trade.id, trade.price]),
    );
    for (const interval of ['1s', '30s', '1m', '5m', '1w'] as const) {
      const { rows } = await readCandles(id, state, series, { interval, from: ever.from, to: ever.to, page, asOf: undefined });
      assert.deepEqual(
        rows.map((row) => withoutMinusZero(row.slice(0, 6) as number[])),
        recompute(expected, INTERVAL_MS[interval], (time) => openingOf(time, interval)),
        interval,
      );
    }
  }

  test('with the setting, memory, store and REST equal the recomputation', async () => {
    const end = performance.now() + LAW_MS;
    await fc.assert(
      fc.asyncProperty(trades, async (all) => {
        if (performance.now() > end) return;
        const { id, state } = await stored(all, true);
        await check(id, state, all);
      }),
      { numRuns: 25 },
    );
  });

  test('without it, prices of zero and below are refused and change nothing', async () => {
    const end = performance.now() + LAW_MS;
    await fc.assert(
      fc.asyncProperty(trades, async (all) => {
        if (performance.now() > end) return;
        const { id, state } = await stored(all, false);
        const positive = all.filter((trade) => Number(trade.price) > 0);
        assert.equal(state.quality.counts.quarantined, all.length - positive.length);
        await check(id, state, positive);
      }),
      { numRuns: 20 },
    );
  });

  test('the archive and UDF return the same', async () => {
    const all = [-37.63, 0, 12.5, -0.01, 3].map(
      (value, index): Trade => ({
        id: `a${index}`,
        order: index,
        time: START + index * 20_000,
        price: String(value),
        quantity: '1',
        side: 'buy',
      }),
    );
    const { id, state } = await stored(all, true);
    assert.ok((await series.archive(START + 10 * DAY_MS)) > 0);
    await check(id, state, all);
    const app = fastify();
    const reads = { series, instrument: () => state, instruments: () => [[id, state]] as const, caughtUp: async () => {} };
    udfRoutes(app as never, reads as never);
    const from = START / 1_000;
    const { body } = await app.inject({ url: `/udf/history?symbol=${id}&resolution=1&from=${from}&to=${from + 3_600}` });
    const { t, o, h, l, c } = JSON.parse(body) as Record<string, number[]>;
    const expected = recompute(all, 60_000, (time) => openingOf(time, '1m'));
    assert.deepEqual(
      t?.map((time, index) => [time * 1_000, o?.[index], h?.[index], l?.[index], c?.[index]]),
      expected.map((row) => row.slice(0, 5)),
    );
    const info = JSON.parse((await app.inject({ url: `/udf/symbols?symbol=${id}` })).body) as { pricescale: number };
    assert.equal(info.pricescale, 100);
    await app.close();
  });

  test('the setting is an event and can be reverted', () => {
    given(zone)
      .when(list(true))
      .emits({ type: 'InstrumentListed', source: 's', symbol: 'CL', simulated: false, negativePrices: true })
      .when(list(true))
      .nothing()
      .when(list(false))
      .emits({ type: 'InstrumentListed', source: 's', symbol: 'CL', simulated: false });
  });

  test('outliers are relative to the size of prices, not to a mean near zero', () => {
    const trade = (index: number, value: string): Trade => ({
      id: `${index}`,
      order: index,
      time: START + index,
      price: value,
      quantity: '1',
      side: 'buy',
    });
    const around = Array.from({ length: 30 }, (_one, index) => trade(index, index % 2 === 0 ? '-0.10' : '0.10'));
    const far = instrumentZone({ lateWindowMs: 60_000, outlierPercent: 300 });
    given(far)
      .when(list(true), ...around.map(record))
      .state(({ quality }) => assert.equal(quality.counts.outliers, 0))
      .when(record(trade(31, '-37.63')))
      .state(({ quality }) => assert.equal(quality.counts.outliers, 1));
  });
});
