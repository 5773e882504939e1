import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api';
import { type CandleOrigin, INTERVAL_MS, INTERVALS, type InstrumentId, type Interval, openingOf } from '@millrace/contracts';
import type { Archive } from './archive.ts';
import type { RecomputeQuery, RecomputeTransaction, StoredCandle, TradeSum, Withdrawal } from './series-store.ts';

const ORIGINS: readonly CandleOrigin[] = ['trades', 'venue', 'mixed'];

/** Implements `RecomputeTransaction.candles` on a connection. */
export async function candlesOf(
  connection: DuckDBConnection,
  archive: Archive,
  { instrument, interval, from, to }: RecomputeQuery,
): Promise<StoredCandle[]> {
  const fields = 'time, open, high, low, close, volume, trades, version, known';
  const inRange = 'instrument = $instrument AND time >= $first AND time < $last';
  const rows = await archive.through('candles', { from, to }, async (files) => {
    const archived =
      files &&
      `UNION ALL SELECT "interval" AS name, ${fields}, (CASE origin WHEN 'trades' THEN 0 WHEN 'venue' THEN 1 ELSE 2 END) AS origin FROM ${files} WHERE ${inRange}`;
    const result = await connection.runAndReadAll(
      `SELECT name, time, open, high, low, close, volume, trades, version, origin FROM (
         SELECT n.name, ${fields}, origin FROM (
           SELECT i.name AS instrument, "interval" AS code, ${fields}, origin FROM candles c JOIN names i ON i.code = c.instrument
         ) JOIN names n USING (code) WHERE ${inRange} ${archived}
       ) QUALIFY row_number() OVER (PARTITION BY name, time ORDER BY version DESC, known DESC) = 1 AND (name = $interval OR origin = 1)`,
      { instrument, interval, first: from, last: to },
    );
    return result.getRows();
  });
  return rows.map(([name, ...values]) => {
    const [time, open, high, low, close, volume, trades, version, origin] = values.map(Number) as NineNumbers;
    return { interval: name as Interval, time, open, high, low, close, volume, trades, version, origin: ORIGINS[origin] ?? 'mixed' };
  });
}

/** Implements `RecomputeTransaction.tradeSums` on a connection. */
export async function tradeSumsOf(
  connection: DuckDBConnection,
  archive: Archive,
  { instrument, interval, from, to, covered }: Parameters<RecomputeTransaction['tradeSums']>[0],
): Promise<TradeSum[]> {
  const length = INTERVAL_MS[interval];
  const origin = openingOf(from, interval);
  const fields = 'time, rank, price, quantity, coalesce(arrival, 0) AS arrival';
  const inRange = 'instrument = $instrument AND time >= $first AND time < $last';
  const ranges = covered.map(([start, end]) => `(CAST(${start} AS DOUBLE), CAST(${end} AS DOUBLE))`).join(', ');
  const outside =
    covered.length > 0
      ? `WHERE NOT EXISTS (SELECT 1 FROM (VALUES ${ranges}) v(start, stop) WHERE t.time >= v.start AND t.time < v.stop)`
      : '';
  const rows = await archive.through('trades', { from, to }, async (files) => {
    const archived = files && `UNION ALL SELECT ${fields} FROM ${files} WHERE ${inRange}`;
    const result = await connection.runAndReadAll(
      `WITH t AS (
         SELECT ${fields} FROM (SELECT i.name AS instrument, time, rank, price, quantity, arrival FROM trades r JOIN names i ON i.code = r.instrument)
         WHERE ${inRange} ${archived}
       ), n AS (
         SELECT t.*, CAST(price AS DOUBLE) AS value, CAST(quantity AS DOUBLE) AS amount,
           CASE WHEN contains(lower(quantity), 'e') THEN 99 WHEN contains(quantity, '.') THEN length(quantity) - position('.' IN quantity) ELSE 0 END AS decimals
         FROM t ${outside}
       )
       SELECT floor((time - $origin) / ${length}) * ${length} + $origin AS opening, min(time), arg_min(value, {t: time, r: rank, a: arrival}),
         max(time), arg_max(value, {t: time, r: rank, a: arrival}), max(value), min(value), fsum(amount), max(decimals), count(*),
         arg_min(rank, {t: time, r: rank, a: arrival}), arg_max(rank, {t: time, r: rank, a: arrival})
       FROM n GROUP BY opening ORDER BY opening`,
      { instrument, first: from, last: to, origin } satisfies Record<string, DuckDBValue>,
    );
    return result.getRows();
  });
  return rows.map((row) => {
    const [opening, firstTime, open, lastTime, close, high, low, volume, decimals, trades, firstOrder, lastOrder] = row.map(
      Number,
    ) as TwelveNumbers;
    return { opening, firstTime, firstOrder, open, lastTime, lastOrder, close, high, low, volume, decimals, trades };
  });
}

/** Implements `RecomputeTransaction.newestOpening` on a connection. */
export async function newestOpeningOf(
  connection: DuckDBConnection,
  archive: Archive,
  { instrument, to }: { readonly instrument: InstrumentId; readonly to: number },
): Promise<number | null> {
  const inRange = 'instrument = $instrument AND time < $last';
  return archive.through('candles', { from: Number.MIN_SAFE_INTEGER, to }, async (files) => {
    const archived = files && `UNION ALL SELECT time FROM ${files} WHERE ${inRange}`;
    const result = await connection.runAndReadAll(
      `SELECT max(time) FROM (
         SELECT time FROM (SELECT i.name AS instrument, c.time FROM candles c JOIN names i ON i.code = c.instrument) WHERE ${inRange} ${archived}
       )`,
      { instrument, last: to },
    );
    const newest = result.getRows()[0]?.[0] ?? null;
    return newest === null ? null : Number(newest);
  });
}

/** Deletes the rows of a withdrawal, on the connection of the transaction. Archived rows stay. */
export async function withdraw(connection: DuckDBConnection, { instrument, after, reopened }: Withdrawal): Promise<void> {
  const ofInstrument = 'instrument = (SELECT code FROM names WHERE name = $instrument)';
  for (const table of ['trades', 'readings'])
    await connection.run(`DELETE FROM ${table} WHERE ${ofInstrument} AND time > $after`, { instrument, after });
  const openings = INTERVALS.map((interval) => `('${interval}', CAST(${openingOf(reopened, interval)} AS DOUBLE))`).join(', ');
  await connection.run(
    `DELETE FROM candles WHERE ${ofInstrument} AND (time > $after OR (origin <> ${ORIGINS.indexOf('venue')} AND EXISTS (
       SELECT 1 FROM (VALUES ${openings}) v(name, opening) JOIN names n ON n.name = v.name
       WHERE n.code = candles."interval" AND candles.time >= v.opening)))`,
    { instrument, after },
  );
}

type NineNumbers = [number, number, number, number, number, number, number, number, number];
type TwelveNumbers = [...NineNumbers, number, number, number];
