import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  type CandleFrame,
  ENDPOINTS,
  type Endpoint,
  type InstrumentCommand,
  type InstrumentEvent,
  type InstrumentId,
  instrumentId,
  type ReadingFrame,
  type RowOrder,
  type TradeFrame,
} from '@millrace/contracts';
import { ApiProblem, encodeCursor, type Routes } from '@millrace/http';
import { zoneAddress } from '@millrace/kernel';
import { given } from '@millrace/kernel/testing';
import { openDuckDbSeries, type SeriesStore } from '@millrace/series';
import { assertWithinTime } from '@millrace/testing';
import fc from 'fast-check';
import type { Instrument } from './instrument.ts';
import { readPage } from './pages.ts';
import { seriesProjection } from './projection.ts';
import { type MarketReads, marketRoutes } from './routes.ts';
import { instrumentZone } from './zone.ts';

const DAY = 86_400_000;
const ORDERS: readonly RowOrder[] = ['asc', 'desc'];
/** Each writes to a database many times: as many as there is time for. */
const RUNS = { numRuns: 40, ms: 1_500 };

/** A trade or a reading of the test: `isOld` ones are archived when the store archives. */
interface Made {
  readonly at: number;
  readonly order: number;
  readonly isOld: boolean;
}
const made = fc.record({ at: fc.integer({ min: 0, max: 3 }), order: fc.integer({ min: 0, max: 2 }), isOld: fc.boolean() });

type Frame = Pick<TradeFrame | ReadingFrame | CandleFrame, 'hasMore' | 'nextCursor'> & { readonly rows: readonly unknown[][] };

describe('the pages of a time series', () => {
  let folder: string;
  let store: SeriesStore;
  let instruments = 0;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-pages-'));
    store = await openDuckDbSeries({ folder, memoryMiB: 128, archiveAfterDays: 2, keepDays: 36_500 });
  });
  after(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Reads all pages of an endpoint. @param between runs before each page but the first */
  async function readAll(reads: MarketReads, endpoint: Endpoint, args: object, limit: number, between?: () => Promise<void>) {
    const handlers = new Map<Endpoint, (request: object) => Promise<Frame>>();
    const routes = { handle: (one: Endpoint, handler: never) => handlers.set(one, handler), list: () => {} } as unknown as Routes;
    marketRoutes(routes, reads);
    const rows: (readonly unknown[])[] = [];
    for (let cursor: string | undefined; ; ) {
      const { id, ...query } = args as { id: InstrumentId };
      const page = (await handlers.get(endpoint)?.({ params: { id }, query: { ...query, limit, cursor } })) as Frame;
      assert.equal(page.hasMore, page.nextCursor !== null);
      assert.ok(page.rows.length <= limit);
      assert.equal(page.rows.length === limit || !page.hasMore, true, 'only the last page is short');
      rows.push(...page.rows);
      if (page.nextCursor === null) return rows;
      cursor = page.nextCursor;
      await between?.();
    }
  }

  /** Trades and readings of an instrument, of which some are in memory until the store has caught up with the log. */
  function inMemory() {
    const id = instrumentId('venue', `P${++instruments}-USD`);
    // Every second one has its data before 1970.
    const now = (instruments % 2 === 0 ? 1 : -1) * instruments * 100 * DAY;
    const all: { key: string; place: readonly number[] }[] = [];
    let waiting: (Made & { arrival: number })[] = [];
    const timeOf = ({ at, isOld }: Made) => now - (isOld ? 5 * DAY : 0) + at;
    const write = async () => {
      const rows = waiting.map((one) => ({ ...one, instrument: id, time: timeOf(one), known: now }));
      waiting = [];
      await store.write(
        {
          trades: rows.map((row) => ({ ...row, id: `t${row.arrival}`, price: '1', quantity: '1', side: 'buy' as const })),
          readings: rows.map((row) => ({ ...row, name: `t${row.arrival}`, value: row.arrival })),
          candles: [],
        },
        null,
      );
    };
    const reads = {
      series: store,
      instrument: () => ({ status: 'live', asOf: now, bars: {} }),
      instruments: () => [],
      caughtUp: write,
    } as unknown as MarketReads;
    return {
      id,
      reads,
      all,
      archive: async () => {
        await write();
        await store.archive(now);
      },
      add: (list: readonly Made[]) => {
        for (const one of list) {
          const arrival = all.length;
          waiting.push({ ...one, arrival });
          all.push({ key: `t${arrival}`, place: [timeOf(one), one.order, arrival] });
        }
      },
    };
  }

  const compare = (one: readonly number[], other: readonly number[]) =>
    one.map((part, index) => part - (other[index] ?? 0)).find((difference) => difference !== 0) ?? 0;

  for (const [name, endpoint, column, placeOf] of [
    ['trades', ENDPOINTS.getTrades, 4, (place: readonly number[]) => place],
    // Readings have no order of the venue.
    ['readings', ENDPOINTS.getReadings, 1, ([time = 0, , arrival = 0]: readonly number[]) => [time, arrival]],
  ] as const)
    test(`fault 63: ${name}, page by page, are the whole range in either order, also of rows in memory, in the archive and of one millisecond`, () =>
      assertWithinTime(
        fc.asyncProperty(
          fc.array(made, { maxLength: 30 }),
          fc.array(made, { maxLength: 10 }),
          fc.integer({ min: 1, max: 7 }),
          async (archived, waiting, limit) => {
            const series = inMemory();
            series.add(archived);
            await series.archive();
            series.add(waiting);
            const expected = series.all.toSorted((a, b) => compare(placeOf(a.place), placeOf(b.place))).map(({ key }) => key);
            const read = async (order: RowOrder) =>
              (await readAll(series.reads, endpoint, { id: series.id, order }, limit)).map((row) => row[column]);
            assert.deepEqual(await read('asc'), expected);
            assert.deepEqual(await read('desc'), expected.toReversed());
          },
        ),
        RUNS,
      ));

  test('rows that arrive between two pages neither hide nor repeat others', () =>
    assertWithinTime(
      fc.asyncProperty(
        fc.array(made, { minLength: 1, maxLength: 20 }),
        fc.array(fc.tuple(fc.array(made, { maxLength: 3 }), fc.boolean()), { maxLength: 12 }),
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom(...ORDERS),
        async (first, arrivals, limit, order) => {
          const series = inMemory();
          series.add(first);
          const known = series.all.toSorted((a, b) => compare(a.place, b.place)).map(({ key }) => key);
          if (order === 'desc') known.reverse();
          const left = [...arrivals];
          const rows = await readAll(series.reads, ENDPOINTS.getTrades, { id: series.id, order }, limit, async () => {
            const [added = [], isArchiving = false] = left.shift() ?? [];
            series.add(added);
            if (isArchiving) await series.archive();
          });
          const keys = rows.map((row) => String(row[4]));
          assert.equal(new Set(keys).size, keys.length, 'no row twice');
          assert.deepEqual(
            keys.filter((key) => known.includes(key)),
            known,
          );
        },
      ),
      RUNS,
    ));

  const trade = fc.record({ at: fc.integer({ min: 0, max: 3_600_000 }), price: fc.integer({ min: 1, max: 9 }) });
  test('candles, page by page, are the whole range in either order, from memory and store, and while trades arrive', () =>
    assertWithinTime(
      fc.asyncProperty(
        fc.array(trade, { minLength: 1, maxLength: 30 }),
        fc.array(trade, { maxLength: 10 }),
        fc.integer({ min: 1, max: 7 }),
        fc.constantFrom(...ORDERS),
        async (first, later, limit, order) => {
          const id = instrumentId('venue', `P${++instruments}-USD`);
          const set = given(instrumentZone({ lateWindowMs: 60_000, outlierPercent: 1e9 }));
          let seq = 0;
          let state: Instrument | undefined;
          const take = async ({ at, price }: { at: number; price: number }) => {
            const time = Date.UTC(2026, 0, 5) + at;
            const recorded = { id: `t${++seq}`, order: 0, time, price: String(price), quantity: '1', side: 'buy' } as const;
            const command: InstrumentCommand = { type: 'RecordTrade', trade: recorded, numbered: false };
            const events = set.when(command).events as InstrumentEvent[];
            const batch = { zone: zoneAddress('instrument', id), time, firstSeq: seq * 100, events };
            await seriesProjection(store).apply([batch as never], []);
            set.state((found) => {
              state = found;
            });
          };
          const reads = {
            series: store,
            instrument: () => state,
            instruments: () => [],
            caughtUp: async () => {},
          } as unknown as MarketReads;
          for (const one of first) await take(one);
          const args = { id, interval: '1m' };
          const all = await readAll(reads, ENDPOINTS.getCandles, { ...args, order: 'asc' }, 20_000);
          assert.deepEqual(await readAll(reads, ENDPOINTS.getCandles, { ...args, order: 'asc' }, limit), all);
          assert.deepEqual(await readAll(reads, ENDPOINTS.getCandles, { ...args, order: 'desc' }, limit), all.toReversed());
          const rest = [...later];
          const rows = await readAll(reads, ENDPOINTS.getCandles, { ...args, order }, limit, async () => {
            const next = rest.shift();
            if (next) await take(next);
          });
          const times = rows.map(([time]) => time);
          assert.equal(new Set(times).size, times.length, 'no candle twice');
          for (const [time] of all) assert.ok(times.includes(time), `the candle at ${time} is left out`);
        },
      ),
      RUNS,
    ));
});

const cursorOf = (content: unknown) => Buffer.from(JSON.stringify(content)).toString('base64url');
for (const cursor of ['x', '', 'WzFd', cursorOf(['asc', 1, 2, '3']), cursorOf([1, 2, 3]), cursorOf({}), encodeCursor(['desc', 1, 2, 3])])
  test(`the cursor "${cursor}" is refused: no page with order=asc gave it`, () =>
    assert.rejects(
      readPage(
        { order: 'asc', limit: 1, cursor },
        async () => [],
        () => [0, 0, 0],
      ),
      (error) => error instanceof ApiProblem && error.code === 'INVALID_CURSOR',
    ));
