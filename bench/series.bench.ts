import { join } from 'node:path';
import { DOUBLE, DuckDBDataChunk, DuckDBInstance, INTEGER, UTINYINT } from '@duckdb/node-api';
import { instrumentId } from '@millrace/contracts';
import { type CandleRow, openDuckDbSeries } from '@millrace/series';
import { inFolder, paired, rate, report } from './measure.ts';

/* Writing candles to the series store and reading them as columns, against DuckDB with the same columns. */

const ROWS = 204_800;
const CHUNK = 2_048;
const BATCH = 20_480;
const BTC = instrumentId('bench', 'BTC-USDT');
const TYPES = [INTEGER, INTEGER, DOUBLE, DOUBLE, DOUBLE, DOUBLE, DOUBLE, DOUBLE, INTEGER, INTEGER, UTINYINT, DOUBLE];

const rows = Array.from(
  { length: ROWS },
  (_none, index): CandleRow => ({
    instrument: BTC,
    interval: '1m',
    time: index * 60_000,
    open: 100 + (index % 7),
    high: 110,
    low: 90,
    close: 101 + (index % 5),
    volume: index / 3,
    trades: index % 100,
    version: 1,
    origin: 'trades',
    known: index * 60_000,
  }),
);
let run = 0;

await inFolder(async (folder) => {
  const options = (name: string) => ({ folder: join(folder, name), memoryMiB: 512, archiveAfterDays: 36_500, keepDays: 36_500 });
  const bareTable = async () => {
    const instance = await DuckDBInstance.create(join(folder, `bare-${run++}.duckdb`), { memory_limit: '512MiB', threads: '2' });
    const connection = await instance.connect();
    await connection.run(
      'CREATE TABLE c (i INTEGER, v INTEGER, t DOUBLE, o DOUBLE, h DOUBLE, l DOUBLE, c DOUBLE, q DOUBLE, n INTEGER, ver INTEGER, org UTINYINT, k DOUBLE)',
    );
    return connection;
  };
  /** Copies prepared typed arrays into chunks: the minimum work of any writer. */
  const times = Float64Array.from(rows, ({ time }) => time);
  const ones = new Float64Array(CHUNK).fill(1);
  const fill = async (connection: Awaited<ReturnType<typeof bareTable>>) => {
    const appender = await connection.createAppender('c');
    for (let start = 0; start < ROWS; start += BATCH) {
      await connection.run('BEGIN');
      for (let at = start; at < start + BATCH; at += CHUNK) {
        const chunk = DuckDBDataChunk.create(TYPES, CHUNK);
        for (let column = 0; column < TYPES.length; column++) {
          const vector = chunk.getColumnVector(column);
          (vector as unknown as { items: Float64Array }).items.set(column === 2 ? times.subarray(at, at + CHUNK) : ones);
          vector.flush();
        }
        appender.appendDataChunk(chunk);
      }
      appender.flushSync();
      await connection.run('COMMIT');
    }
    appender.closeSync();
  };

  const written = await paired(
    3,
    async () => {
      const store = await openDuckDbSeries(options(`ours-${run++}`));
      const speed = await rate(ROWS, async () => {
        for (let start = 0; start < ROWS; start += BATCH)
          await store.write(
            { trades: [], candles: rows.slice(start, start + BATCH), readings: [] },
            { group: 'bench', read: [{ partition: 0, from: start, next: start + BATCH }] },
          );
      });
      await store.close();
      return speed;
    },
    async () => {
      const connection = await bareTable();
      return rate(ROWS, () => fill(connection));
    },
  );
  report({ what: 'candles written to the series store', ...written, unit: 'rows/s', budget: { kind: '>=', value: 0.5 } });

  const store = await openDuckDbSeries(options('read'));
  await store.write({ trades: [], candles: rows, readings: [] }, null);
  const connection = await bareTable();
  await fill(connection);
  const read = await paired(
    5,
    () =>
      rate(ROWS, async () => {
        const { time } = await store.candles({
          instrument: BTC,
          interval: '1m',
          from: 0,
          to: Number.MAX_SAFE_INTEGER,
          order: 'asc',
          limit: ROWS,
        });
        if (time.length !== ROWS) throw new Error(`${time.length} rows`);
      }),
    () =>
      rate(ROWS, async () => {
        const result = await connection.run('SELECT t, o, h, l, c, q, ver FROM c ORDER BY t');
        let count = 0;
        for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
          for (let column = 0; column < 7; column++) chunk.getColumnValues(column);
          count += chunk.rowCount;
        }
        if (count !== ROWS) throw new Error(`${count} rows`);
      }),
  );
  report({
    what: 'candles read from the series store as columns',
    ...read,
    unit: 'rows/s',
    budget: { kind: '>=', value: 0.5 },
    note: 'ours selects the newest version',
  });
  await store.close();
});
