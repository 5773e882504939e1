import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type DuckDBAppender, type DuckDBConnection, DuckDBInstance, type DuckDBValue } from '@duckdb/node-api';
import { requireOffsets } from '@millrace/base/offsets';
import { type InstrumentId, isInstrumentId, type Side } from '@millrace/contracts';
import { Archive } from './archive.ts';
import { appendRows } from './columns.ts';
import { candlesOf, newestOpeningOf, tradeSumsOf, withdraw } from './recompute-reads.ts';
import type {
  CandleColumns,
  CandleQuery,
  PagedQuery,
  RecomputeReads,
  RecomputeTransaction,
  SeriesOptions,
  SeriesReader,
  SeriesRows,
  SeriesStats,
  SeriesStore,
  StoredReading,
  StoredTrade,
} from './series-store.ts';
import { tableColumns } from './table-columns.ts';
import { ARCHIVED, SCHEMA } from './tables.ts';

/**
 * Opens the series store of a folder. Creates it when it does not exist.
 * @throws when another process has it open, or the folder is not writable
 */
export async function openDuckDbSeries(options: SeriesOptions): Promise<SeriesStore> {
  mkdirSync(options.folder, { recursive: true });
  const instance = await DuckDBInstance.create(join(options.folder, 'series.duckdb'), {
    memory_limit: `${options.memoryMiB}MiB`,
    threads: '2',
    temp_directory: join(options.folder, 'spill'),
  });
  const writer = await instance.connect();
  const reader = await instance.connect();
  await writer.run(SCHEMA);
  const probe = await instance.connect();
  const archive = await Archive.open(writer, probe, options, ARCHIVED);
  const names = new Map<string, number>();
  const rows = await writer.runAndReadAll('SELECT name, code FROM names');
  for (const [name, code] of rows.getRows()) names.set(String(name), Number(code));
  const appenders = {
    trades: await writer.createAppender('trades'),
    candles: await writer.createAppender('candles'),
    readings: await writer.createAppender('readings'),
  };
  return new DuckDbSeries(instance, { writer, reader, probe }, archive, names, appenders);
}

class DuckDbSeries implements SeriesStore {
  readonly #instance: DuckDBInstance;
  readonly #writer: DuckDBConnection;
  readonly #reader: DuckDBConnection;
  readonly #probe: DuckDBConnection;
  readonly #archive: Archive;
  readonly #names: Map<string, number>;
  readonly #appenders: { trades: DuckDBAppender; candles: DuckDBAppender; readings: DuckDBAppender };
  /** Resolves when the last queued write has ended. The writer is one connection, so writes run one after the other. */
  #lastWrite: Promise<unknown> = Promise.resolve();
  readonly #reads = new Set<Promise<unknown>>();
  #isClosed = false;
  readonly #columns = tableColumns((name) => this.#names.get(name) as number);

  constructor(
    instance: DuckDBInstance,
    { writer, reader, probe }: { writer: DuckDBConnection; reader: DuckDBConnection; probe: DuckDBConnection },
    archive: Archive,
    names: Map<string, number>,
    appenders: { trades: DuckDBAppender; candles: DuckDBAppender; readings: DuckDBAppender },
  ) {
    this.#instance = instance;
    this.#writer = writer;
    this.#reader = reader;
    this.#probe = probe;
    this.#archive = archive;
    this.#names = names;
    this.#appenders = appenders;
  }

  write(rows: SeriesRows, read: SeriesReader | null, recompute?: (transaction: RecomputeTransaction) => Promise<void>): Promise<void> {
    return this.#write(async () => {
      await this.#writer.run('BEGIN');
      try {
        for (const withdrawal of rows.withdrawn ?? []) await withdraw(this.#writer, withdrawal);
        await this.#nameAll(rows);
        if (rows.trades.length > 0) appendRows(this.#appenders.trades, this.#columns.trades, rows.trades);
        if (rows.candles.length > 0) appendRows(this.#appenders.candles, this.#columns.candles, rows.candles);
        if (rows.readings.length > 0) appendRows(this.#appenders.readings, this.#columns.readings, rows.readings);
        if (recompute) await recompute(this.#recomputeTransaction());
        if (read) await this.#saveOffsets(read);
        await this.#writer.run('COMMIT');
      } catch (error) {
        for (const appender of Object.values(this.#appenders)) appender.clear();
        await this.#writer.run('ROLLBACK').catch(() => {});
        await this.#readNames();
        throw error;
      }
    });
  }

  offsets(group: string): Promise<ReadonlyMap<number, number>> {
    return this.#read(() => offsetsIn(this.#reader, group));
  }

  groups(): Promise<readonly string[]> {
    return this.#read(async () => {
      const result = await this.#reader.runAndReadAll('SELECT DISTINCT reader FROM read_up_to');
      return result.getRows().map(([group]) => String(group));
    });
  }

  async candles(query: CandleQuery): Promise<CandleColumns> {
    const values = {
      instrument: this.#names.get(query.instrument) ?? -1,
      interval: this.#names.get(query.interval) ?? -1,
      instrument_name: query.instrument,
      interval_name: query.interval,
      first: query.from,
      last: query.to,
      known: query.asOf ?? Number.MAX_SAFE_INTEGER,
      most: query.limit,
    };
    const fields = 'time, open, high, low, close, volume, version';
    const inRange = 'time >= $first AND time < $last AND known <= $known';
    const columns = await this.#throughArchive('candles', query, async (files) => {
      const archived =
        files &&
        `UNION ALL SELECT ${fields}, known FROM ${files} WHERE instrument = $instrument_name AND "interval" = $interval_name AND ${inRange}`;
      const result = await this.#reader.runAndReadAll(
        `SELECT ${fields} FROM (
           SELECT ${fields}, known FROM candles WHERE instrument = $instrument AND "interval" = $interval AND ${inRange} ${archived}
         ) QUALIFY row_number() OVER (PARTITION BY time ORDER BY version DESC, known DESC) = 1 ORDER BY time ${query.order === 'asc' ? 'ASC' : 'DESC'} LIMIT $most`,
        files ? values : omit(values, 'instrument_name', 'interval_name'),
      );
      return result.getColumns();
    });
    const column = (index: number) => Float64Array.from((columns[index] ?? []) as number[]);
    return {
      time: column(0),
      open: column(1),
      high: column(2),
      low: column(3),
      close: column(4),
      volume: column(5),
      version: column(6),
    };
  }

  async trades(query: PagedQuery): Promise<StoredTrade[]> {
    const rows = await this.#range('trades', query, {
      fields: 'time, rank, price, quantity, side, id, arrival',
      hot: "time, rank, price, quantity, CASE side WHEN 0 THEN 'buy' WHEN 1 THEN 'sell' ELSE 'unknown' END AS side, id, arrival",
      archived: 'time, rank, price, quantity, side, id, coalesce(arrival, 0) AS arrival',
    });
    return rows.map(([time, rank, price, quantity, side, id, arrival]) => ({
      id: id === null ? String(rank) : String(id),
      order: Number(rank),
      time: Number(time),
      price: String(price),
      quantity: String(quantity),
      side: side as Side,
      arrival: Number(arrival),
    }));
  }

  async readings(query: PagedQuery & { name?: string }): Promise<StoredReading[]> {
    const rows = await this.#range('readings', query, {
      fields: 'time, name, value, arrival',
      hot: 'time, (SELECT n.name FROM names n WHERE n.code = readings.name) AS name, value, 0 AS rank, arrival',
      archived: 'time, name, value, 0 AS rank, coalesce(arrival, 0) AS arrival',
      ...(query.name !== undefined && { where: { sql: 'name = $name', values: { name: query.name } } }),
    });
    return rows.map(([time, name, value, arrival]) => ({
      time: Number(time),
      name: String(name),
      value: Number(value),
      arrival: Number(arrival),
    }));
  }

  archive(now: number): Promise<number> {
    return this.#write(() => this.#archive.run(now));
  }

  async stats(): Promise<SeriesStats> {
    const result = await this.#read(() =>
      this.#reader.runAndReadAll('SELECT (SELECT count(*) FROM trades), (SELECT count(*) FROM candles), (SELECT count(*) FROM readings)'),
    );
    const [trades, candles, readings] = (result.getRows()[0] ?? []).map(Number);
    return { trades: trades ?? 0, candles: candles ?? 0, readings: readings ?? 0, ...this.#archive.stats() };
  }

  /** Completes queued writes, rejects running reads, and closes the database. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#afterWrites(async () => {
      for (const appender of Object.values(this.#appenders)) appender.closeSync();
      await this.#writer.run('CHECKPOINT');
    });
    // DuckDB frees a connection even while a statement runs on it: the statement then deadlocks or reads freed memory.
    while (this.#reads.size > 0) {
      this.#reader.interrupt();
      this.#probe.interrupt();
      await Promise.race([...this.#reads].map((read) => read.catch(() => {})));
    }
    this.#reader.closeSync();
    this.#probe.closeSync();
    this.#writer.closeSync();
    this.#instance.closeSync();
  }

  /** The first `limit` rows of an instrument in a time range, in the order of the query. */
  async #range(table: 'trades' | 'readings', query: PagedQuery, statement: RangeStatement): Promise<readonly DuckDBValue[][]> {
    const [time, order, arrival] = query.after ?? [];
    const isAscending = query.order === 'asc';
    const range = rangeAfter(query, isAscending, time);
    const values = {
      instrument: this.#names.get(query.instrument) ?? -1,
      instrument_name: query.instrument,
      first: range.from,
      last: range.to,
      most: query.limit,
      ...(time !== undefined && { time, order: order ?? 0, arrival: arrival ?? 0 }),
      ...statement.where?.values,
    };
    const conditions = [
      ...(statement.where ? [statement.where.sql] : []),
      ...(time === undefined ? [] : [`(time, rank, arrival) ${isAscending ? '>' : '<'} ($time, $order, $arrival)`]),
    ];
    const inRange = 'time >= $first AND time < $last';
    const direction = isAscending ? 'ASC' : 'DESC';
    return this.#throughArchive(table, range, async (files) => {
      const archived = files && `UNION ALL SELECT ${statement.archived} FROM ${files} WHERE instrument = $instrument_name AND ${inRange}`;
      const result = await this.#reader.runAndReadAll(
        `SELECT ${statement.fields} FROM (SELECT ${statement.hot} FROM ${table} WHERE instrument = $instrument AND ${inRange} ${archived})
         ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}
         ORDER BY time ${direction}, rank ${direction}, arrival ${direction} LIMIT $most`,
        files ? values : omit(values, 'instrument_name'),
      );
      return result.getRows();
    });
  }

  get recomputeReads(): RecomputeReads {
    const past = this.#readsThrough(this.#reader);
    return {
      keepMs: past.keepMs,
      candles: (query) => this.#read(() => past.candles(query)),
      newestOpening: (query) => this.#read(() => past.newestOpening(query)),
      tradeSums: (query) => this.#read(() => past.tradeSums(query)),
    };
  }

  #readsThrough(connection: DuckDBConnection): RecomputeReads {
    return {
      keepMs: this.#archive.keepMs,
      candles: (query) => candlesOf(connection, this.#archive, query),
      newestOpening: (query) => newestOpeningOf(connection, this.#archive, query),
      tradeSums: (query) => tradeSumsOf(connection, this.#archive, query),
    };
  }

  /** Reads and writes within the current transaction. */
  #recomputeTransaction(): RecomputeTransaction {
    return {
      ...this.#readsThrough(this.#writer),
      append: async (candles) => {
        if (candles.length === 0) return;
        await this.#nameAll({ trades: [], candles, readings: [] });
        appendRows(this.#appenders.candles, this.#columns.candles, candles);
      },
    };
  }

  instruments(): InstrumentId[] {
    return [...this.#names.keys()].filter(isInstrumentId);
  }

  has(instrument: InstrumentId): boolean {
    return this.#names.has(instrument);
  }

  async #nameAll(rows: SeriesRows): Promise<void> {
    const unknown = new Set<string>();
    for (const row of rows.trades) if (!this.#names.has(row.instrument)) unknown.add(row.instrument);
    for (const row of rows.candles) {
      if (!this.#names.has(row.instrument)) unknown.add(row.instrument);
      if (!this.#names.has(row.interval)) unknown.add(row.interval);
    }
    for (const row of rows.readings) {
      if (!this.#names.has(row.instrument)) unknown.add(row.instrument);
      if (!this.#names.has(row.name)) unknown.add(row.name);
    }
    for (const name of unknown) {
      const code = this.#names.size + 1;
      await this.#writer.run('INSERT INTO names VALUES ($1, $2)', [code, name]);
      this.#names.set(name, code);
    }
  }

  async #saveOffsets({ group, read }: SeriesReader): Promise<void> {
    if (read.length === 0) return;
    requireOffsets(group, await offsetsIn(this.#writer, group), read);
    const placeholders = read.map((_range, index) => `($1, $${index * 2 + 2}, $${index * 2 + 3})`);
    const values = read.flatMap(({ partition, next }) => [partition, next]);
    await this.#writer.run(`INSERT OR REPLACE INTO read_up_to VALUES ${placeholders.join(', ')}`, [group, ...values]);
  }

  async #readNames(): Promise<void> {
    const result = await this.#writer.runAndReadAll('SELECT name, code FROM names');
    this.#names.clear();
    for (const [name, code] of result.getRows()) this.#names.set(String(name), Number(code));
  }

  async #read<T>(work: () => Promise<T>): Promise<T> {
    this.#requireOpen();
    const read = work();
    this.#reads.add(read);
    try {
      return await read;
    } finally {
      this.#reads.delete(read);
    }
  }

  #throughArchive<T>(table: string, range: { from: number; to: number }, query: (files: string) => Promise<T>): Promise<T> {
    return this.#read(() => this.#archive.through(table, range, query));
  }

  async #write<T>(work: () => Promise<T>): Promise<T> {
    this.#requireOpen();
    return this.#afterWrites(work);
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new Error('The series store is closed.');
  }

  #afterWrites<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lastWrite.then(work);
    this.#lastWrite = done.catch(() => {});
    return done;
  }
}

async function offsetsIn(connection: DuckDBConnection, group: string): Promise<ReadonlyMap<number, number>> {
  const result = await connection.runAndReadAll('SELECT part, next FROM read_up_to WHERE reader = $1', [group]);
  return new Map(result.getRows().map(([partition, next]) => [Number(partition), Number(next)]));
}

/** The part of a range that can contain rows after `time` in this order. */
function rangeAfter({ from, to }: PagedQuery, isAscending: boolean, time: number | undefined): { from: number; to: number } {
  if (time === undefined) return { from, to };
  return isAscending ? { from: Math.max(from, time), to } : { from, to: Math.min(to, time + 1) };
}

/** SQL that reads rows of a table. */
interface RangeStatement {
  /** Selected columns; their expressions in the database (`hot`) and in the archive files (`archived`). */
  readonly fields: string;
  readonly hot: string;
  readonly archived: string;
  readonly where?: { readonly sql: string; readonly values: Record<string, DuckDBValue> };
}

/** The values without some names. DuckDB refuses named values that the statement does not use. */
function omit<T extends Record<string, DuckDBValue>>(values: T, ...names: (keyof T)[]): Record<string, DuckDBValue> {
  return Object.fromEntries(Object.entries(values).filter(([name]) => !names.includes(name)));
}
