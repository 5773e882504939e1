import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { type InstrumentId, instrumentId } from '@millrace/contracts';
import { assertWithinTime } from '@millrace/testing';
import fc from 'fast-check';
import { openDuckDbSeries } from './duckdb-series.ts';
import { readParquet } from './parquet.ts';
import type { CandleRow, RowKey, RowOrder, SeriesStore, StoredTrade, TradeRow } from './series-store.ts';

const DAY = 86_400_000;
const BTC = instrumentId('binance', 'BTC-USDT');
const ETH = instrumentId('binance', 'ETH-USDT');
const ALL = { from: 0, to: Number.MAX_SAFE_INTEGER, order: 'asc', limit: 1_000 } as const;

const trade = (instrument: InstrumentId, order: number, time: number, price: string): TradeRow => ({
  instrument,
  id: String(order),
  order,
  time,
  price,
  quantity: '1.50',
  side: 'buy',
  known: time,
  arrival: order,
});
const candle = (time: number, close: number, version = 1, known = time + 60_000): CandleRow => ({
  instrument: BTC,
  interval: '1m',
  time,
  open: 1,
  high: 10,
  low: 1,
  close,
  volume: 2.5,
  trades: 3,
  version,
  origin: 'trades',
  known,
});
const rows = (part: Partial<{ trades: TradeRow[]; candles: CandleRow[] }>) => ({ trades: [], candles: [], readings: [], ...part });

describe('the series store', () => {
  let day = 0;
  let folder: string;
  let store: SeriesStore;
  const open = () => openDuckDbSeries({ folder, memoryMiB: 128, archiveAfterDays: 2, keepDays: 30 });
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-series-'));
    store = await open();
  });
  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('keeps every digit of a price, and returns the first rows of a range in both orders', async () => {
    await store.write(
      rows({
        trades: [trade(BTC, 3, 3_000, '0.10'), trade(BTC, 1, 1_000, '1E-7'), trade(ETH, 1, 1_000, '9'), trade(BTC, 2, 2_000, '127.0')],
      }),
      null,
    );
    const pricesOf = async (order: RowOrder) =>
      (await store.trades({ instrument: BTC, ...ALL, order, limit: 2 })).map(({ price }) => price);
    assert.deepEqual(await pricesOf('desc'), ['0.10', '127.0']);
    assert.deepEqual(await pricesOf('asc'), ['1E-7', '127.0']);
    assert.deepEqual(
      (await store.trades({ instrument: BTC, ...ALL, to: 3_000 })).map(({ price }) => price),
      ['1E-7', '127.0'],
    );
    assert.deepEqual(await store.trades({ instrument: instrumentId('x', 'A-B'), ...ALL }), []);
  });

  test('during close, each pending query returns its rows or an error; after close, every call is refused', async () => {
    await store.write(rows({ trades: Array.from({ length: 20_000 }, (_none, order) => trade(BTC, order, order, '1')) }), null);
    const ROUNDS = 5;
    for (let round = 0; round < ROUNDS; round++) {
      const queries = [
        ...Array.from({ length: 8 }, () => store.trades({ instrument: BTC, ...ALL, limit: 20_000 })),
        store.candles({ instrument: BTC, interval: '1m', ...ALL }),
        store.recomputeReads.tradeSums({ instrument: BTC, interval: '1m', from: 0, to: DAY, covered: [] }),
        store.stats(),
        store.write(rows({ trades: [trade(ETH, round, round, '1')] }), null),
      ];
      const results = Promise.allSettled(queries);
      const closed = store.close();
      await assert.rejects(store.stats(), /The series store is closed/);
      await assert.rejects(store.write(rows({}), null), /The series store is closed/);
      for (const result of await results) if (result.status === 'rejected') assert.match(String(result.reason), /Interrupted|closed/);
      await closed;
      store = await open();
    }
    // Writes that were pending at the close are stored.
    assert.equal((await store.trades({ instrument: ETH, ...ALL })).length, ROUNDS);
  });

  test('faults 31, 63: paging returns every row exactly once in both orders, including archived rows', () =>
    assertWithinTime(
      fc.asyncProperty(
        fc.array(fc.record({ time: fc.integer({ min: 0, max: 3 }), order: fc.integer({ min: 0, max: 2 }), isOld: fc.boolean() }), {
          minLength: 1,
          maxLength: 40,
        }),
        fc.integer({ min: 1, max: 7 }),
        async (list, limit) => {
          const now = ++day * 100 * DAY;
          const instrument = instrumentId('binance', `BTC-${day}`);
          const written = list.map(({ time, order, isOld }, arrival) => ({
            ...trade(instrument, order, now - (isOld ? 5 * DAY : 0) + time, '1'),
            id: `t${arrival}`,
            arrival,
          }));
          const half = Math.floor(written.length / 2);
          await store.write(rows({ trades: written.slice(half) }), null);
          await store.archive(now);
          await store.write(rows({ trades: written.slice(0, half) }), null);
          await store.archive(now);
          const read = async (order: RowOrder) => {
            const found: StoredTrade[] = [];
            for (let after: RowKey | undefined; ; ) {
              const page = await store.trades({ instrument, ...ALL, order, limit, ...(after && { after }) });
              found.push(...page);
              const last = page.at(-1);
              if (!last) return found.map(({ id }) => id);
              after = [last.time, last.order, last.arrival];
            }
          };
          const sorted = written.toSorted((a, b) => a.time - b.time || a.order - b.order || a.arrival - b.arrival);
          const expected = sorted.map(({ id }) => id);
          assert.deepEqual(await read('asc'), expected);
          assert.deepEqual(await read('desc'), expected.toReversed());
        },
      ),
      { numRuns: 25, ms: 2_000 },
    ));

  test('commits rows and offsets together; both are there after a reopen', async () => {
    await store.write(rows({ trades: [trade(BTC, 1, 1_000, '1')] }), { group: 'g', read: [{ partition: 2, from: 0, next: 17 }] });
    await store.close();
    store = await open();
    assert.deepEqual([...(await store.offsets('g'))], [[2, 17]]);
    assert.equal((await store.trades({ instrument: BTC, ...ALL })).length, 1);
  });

  test('returns the newest version of a candle, or the version known at a point in time', async () => {
    await store.write(rows({ candles: [candle(0, 5), candle(60_000, 6)] }), null);
    await store.write(rows({ candles: [candle(0, 7, 2, 500_000)] }), null);
    const closes = async (asOf?: number) => [
      ...(await store.candles({ instrument: BTC, interval: '1m', ...ALL, ...(asOf !== undefined && { asOf }) })).close,
    ];
    assert.deepEqual(await closes(), [7, 6]);
    assert.deepEqual(await closes(499_999), [5, 6]);
    assert.deepEqual(await closes(60_000), [5]);
    assert.deepEqual(await closes(1), []);
  });

  test('moves old days to Parquet and queries database and files together, including corrections of archived days', async () => {
    const now = 100 * DAY;
    const times = [now - 5 * DAY, now - 5 * DAY + 1, now - 3 * DAY, now - 1 * DAY, now];
    await store.write(
      rows({ trades: times.map((time, index) => trade(BTC, index + 1, time, `1.${index}0`)), candles: [candle(now - 5 * DAY, 5)] }),
      null,
    );
    assert.equal(await store.archive(now), 4);
    assert.deepEqual(readdirSync(join(folder, 'archive', 'trades')), ['1970-04-06-1.parquet'], 'days of few rows share a file');
    assert.deepEqual(
      (await store.trades({ instrument: BTC, ...ALL })).map(({ price, time }) => [price, time]),
      times.map((time, index) => [`1.${index}0`, time]),
    );
    await store.write(rows({ candles: [candle(now - 5 * DAY, 9, 2, now)] }), null);
    assert.equal(await store.archive(now), 1);
    const closes = async (asOf?: number) => [
      ...(await store.candles({ instrument: BTC, interval: '1m', ...ALL, ...(asOf !== undefined && { asOf }) })).close,
    ];
    assert.deepEqual([await closes(), await closes(now - 1)], [[9], [5]]);
    await store.close();
    store = await open();
    assert.equal((await store.trades({ instrument: BTC, ...ALL })).length, 5);
  });

  const ids = async () => (await store.trades({ instrument: BTC, ...ALL })).map(({ id }) => id);

  test('deletes expired archive files', async () => {
    const now = 100 * DAY;
    await store.write(rows({ trades: [trade(BTC, 1, now - 50 * DAY, '1')] }), null);
    await store.archive(now - 40 * DAY);
    await store.write(rows({ trades: [trade(BTC, 2, now - 10 * DAY, '2')] }), null);
    await store.archive(now);
    assert.deepEqual(await ids(), ['2']);
    assert.equal(readdirSync(join(folder, 'archive', 'trades')).length, 1);
  });

  test('every row of a day is there once, in whatever order the parts of the day are added and expire', () =>
    assertWithinTime(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 25 }), { minLength: 1, maxLength: 8 }), async (pauses) => {
        const instrument = instrumentId('binance', `ETH-${++day}`);
        const firstDay = 1_000 * day * DAY;
        let now = firstDay + 5 * DAY;
        const written: TradeRow[] = [];
        for (const [order, pause] of pauses.entries()) {
          now += pause * DAY;
          written.push({ ...trade(instrument, order, firstDay + order, '1'), known: now });
          await store.write(rows({ trades: written.slice(-1) }), null);
          await store.archive(now);
          const kept = written.filter(({ known }) => known >= now - 30 * DAY).map(({ id }) => id);
          assert.deepEqual(
            (await store.trades({ instrument, ...ALL })).map(({ id }) => id),
            kept,
          );
        }
      }),
      { numRuns: 15, ms: 2_000 },
    ));

  test('days before the year 0 and after 9999 have files of their own', async () => {
    const times = [Date.UTC(-5, 0, 1), Date.UTC(-4, 6, 1), Date.UTC(10_000, 0, 1), Date.UTC(10_001, 0, 1)];
    for (const [order, time] of times.entries()) {
      await store.write(rows({ trades: [{ ...trade(BTC, order, time, '1'), known: 8e15 }] }), null);
      await store.archive(8e15);
    }
    assert.deepEqual(readdirSync(join(folder, 'archive', 'trades')).sort(), [
      '+010000-01-01-1.parquet',
      '+010001-01-01-1.parquet',
      '-000004-07-01-1.parquet',
      '-000005-01-01-1.parquet',
    ]);
    assert.equal((await store.trades({ instrument: BTC, ...ALL, from: -8e15, to: 8e15 })).length, 4);
  });

  test('a path that an earlier version registered twice counts once', async () => {
    const now = 100 * DAY;
    await store.write(rows({ trades: [trade(BTC, 1, now - 5 * DAY, '1')] }), null);
    await store.archive(now);
    await store.close();
    const database = await DuckDBInstance.create(join(folder, 'series.duckdb'));
    const connection = await database.connect();
    await connection.run('INSERT INTO archived SELECT * FROM archived');
    connection.closeSync();
    database.closeSync();
    store = await open();
    assert.equal((await store.trades({ instrument: BTC, ...ALL })).length, 1);
    assert.equal((await store.stats()).archivedFiles, 1);
  });

  test('fault 53: retention of imported data starts at the import, and thousands of days share few files', async () => {
    const now = 20_000 * DAY;
    const imported = Array.from({ length: 3_000 }, (_none, index) => ({
      ...trade(BTC, index, now - (9_000 - index) * DAY, '1'),
      known: now,
    }));
    await store.write(rows({ trades: imported }), null);
    assert.equal(await store.archive(now), 3_000);
    assert.equal(readdirSync(join(folder, 'archive', 'trades')).length, 1);
    await store.close();
    store = await open();
    await store.archive(now + 29 * DAY);
    assert.equal((await store.trades({ instrument: BTC, ...ALL, limit: 5_000 })).length, 3_000);
    await store.archive(now + 31 * DAY);
    assert.deepEqual(await ids(), []);
  });

  test('skips a damaged archive file, reports it, and returns the other rows', async () => {
    const now = 100 * DAY;
    await store.write(rows({ trades: [trade(BTC, 1, now - 5 * DAY, '1'), trade(BTC, 2, now, '2')] }), null);
    await store.archive(now);
    const [name] = readdirSync(join(folder, 'archive', 'trades'));
    writeFileSync(join(folder, 'archive', 'trades', name ?? ''), '');
    assert.deepEqual(
      (await store.trades({ instrument: BTC, ...ALL })).map(({ id }) => id),
      ['2'],
    );
    assert.equal((await store.stats()).damaged.length, 1);
  });

  test('finds damage within an archive file, and does not blame the sound ones', async () => {
    const now = 100 * DAY;
    for (const day of [5, 4]) {
      const trades = Array.from({ length: 2_000 }, (_none, index) =>
        trade(BTC, day * 10_000 + index, now - day * DAY + index, `${index / 7}`),
      );
      await store.write(rows({ trades }), null);
      await store.archive(now);
    }
    await store.write(rows({ trades: [trade(BTC, 2, now, '2')] }), null);
    // The footer stays intact.
    const damaged = join('trades', '1970-04-06-1.parquet');
    const content = readFileSync(join(folder, 'archive', damaged));
    writeFileSync(join(folder, 'archive', damaged), content.fill(0, Math.floor(content.length / 3), Math.floor(content.length / 2)));
    const reads = { instrument: BTC, interval: '1h', from: 0, to: now, covered: [] } as const;
    const recompute = () => store.write(rows({}), null, async (transaction) => void (await transaction.tradeSums(reads)));
    // The transaction that meets the damage fails, and is repeated without the file.
    await assert.rejects(recompute());
    assert.deepEqual(
      (await store.stats()).damaged.map(({ path }) => path),
      [damaged],
    );
    await recompute();
    assert.equal((await store.trades({ instrument: BTC, ...ALL, limit: 10_000 })).length, 2_001);
    await store.close();
    store = await open();
    // Reads that meet the damage at the same time share the check.
    const found = await Promise.all(Array.from({ length: 8 }, () => store.trades({ instrument: BTC, ...ALL, limit: 10_000 })));
    assert.deepEqual(
      found.map(({ length }) => length),
      found.map(() => 2_001),
    );
    assert.deepEqual(
      (await store.stats()).damaged.map(({ path }) => path),
      [damaged],
    );
  });

  test('removes an unregistered file of a crash', async () => {
    writeFileSync(join(folder, 'archive', 'trades', '1970-01-01-1.parquet.part'), 'half');
    await store.close();
    store = await open();
    assert.deepEqual(readdirSync(join(folder, 'archive', 'trades')), []);
  });

  test('reads any Parquet file, and reports why a file is not one', async () => {
    const now = 100 * DAY;
    await store.write(rows({ trades: [trade(BTC, 1, now - 5 * DAY, '1.50')] }), null);
    await store.archive(now);
    const found: unknown[] = [];
    for await (const part of readParquet(join(folder, 'archive', 'trades', '1970-04-06-1.parquet'))) found.push(...part);
    assert.equal((found[0] as { price: string }).price, '1.50');
    const empty = join(folder, 'empty.parquet');
    writeFileSync(empty, '');
    await assert.rejects(async () => {
      for await (const _part of readParquet(empty));
    }, /is empty \(0 bytes\)/);
    await assert.rejects(async () => {
      for await (const _part of readParquet(join(folder, 'none.parquet')));
    }, /does not exist/);
    writeFileSync(empty, 'not parquet at all');
    await assert.rejects(async () => {
      for await (const _part of readParquet(empty));
    }, /cannot be read as Parquet/);
  });
});
