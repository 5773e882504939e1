import type { ArchivedTable } from './archive.ts';

/*
 * Times are doubles of epoch ms: exact to the microsecond until the year 2255, and JavaScript numbers without conversion.
 * Instruments and intervals are integer codes (see the table `names`), because text columns cost the most space.
 */
/** Statements that create the tables, and add columns that older stores lack. */
export const SCHEMA = `
  CREATE TABLE IF NOT EXISTS names (code INTEGER PRIMARY KEY, name VARCHAR UNIQUE);
  CREATE TABLE IF NOT EXISTS trades (instrument INTEGER, time DOUBLE, rank DOUBLE, price VARCHAR, quantity VARCHAR, side UTINYINT, id VARCHAR, known DOUBLE);
  ALTER TABLE trades ADD COLUMN IF NOT EXISTS arrival DOUBLE DEFAULT 0;
  CREATE TABLE IF NOT EXISTS candles (instrument INTEGER, "interval" INTEGER, time DOUBLE, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE,
    trades INTEGER, version INTEGER, origin UTINYINT, known DOUBLE);
  CREATE TABLE IF NOT EXISTS readings (instrument INTEGER, time DOUBLE, name INTEGER, value DOUBLE, known DOUBLE);
  ALTER TABLE readings ADD COLUMN IF NOT EXISTS arrival DOUBLE DEFAULT 0;
  CREATE TABLE IF NOT EXISTS read_up_to (reader VARCHAR, part INTEGER, next DOUBLE, PRIMARY KEY (reader, part));
`;

/** How the rows of each table are written to archive files. */
export const ARCHIVED: readonly ArchivedTable[] = [
  {
    table: 'trades',
    columns: `i.name AS instrument, t.time, t.rank, t.price, t.quantity, (CASE t.side WHEN 0 THEN 'buy' WHEN 1 THEN 'sell' ELSE 'unknown' END) AS side, t.id, t.known, t.arrival`,
    joins: 'JOIN names i ON i.code = t.instrument',
    order: 'instrument, time, rank, arrival',
  },
  {
    table: 'candles',
    columns: `i.name AS instrument, v.name AS "interval", t.time, t.open, t.high, t.low, t.close, t.volume, t.trades, t.version,
      (CASE t.origin WHEN 0 THEN 'trades' WHEN 1 THEN 'venue' ELSE 'mixed' END) AS origin, t.known`,
    joins: 'JOIN names i ON i.code = t.instrument JOIN names v ON v.code = t."interval"',
    order: 'instrument, "interval", time, version',
  },
  {
    table: 'readings',
    columns: 'i.name AS instrument, t.time, n.name AS name, t.value, t.known, t.arrival',
    joins: 'JOIN names i ON i.code = t.instrument JOIN names n ON n.code = t.name',
    order: 'instrument, time, arrival',
  },
];
