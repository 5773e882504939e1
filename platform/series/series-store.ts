import type { ReadRange } from '@millrace/base/offsets';
import type { CandleOrigin, InstrumentId, Interval, Reading, Trade } from '@millrace/contracts';

/** Rows to write; `known` is when we learned of it (epoch ms), the second of the two times every row has. */
export interface TradeRow extends StoredTrade {
  readonly instrument: InstrumentId;
  readonly known: number;
}

/** A trade with its place among those of its time and order: the seq of its event in the instrument’s zone. */
export interface StoredTrade extends Trade {
  readonly arrival: number;
}

export interface CandleRow {
  readonly instrument: InstrumentId;
  readonly interval: Interval;
  readonly time: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  readonly trades: number;
  /** 1 when it closed; each correction adds one. */
  readonly version: number;
  readonly origin: CandleOrigin;
  readonly known: number;
}

export interface ReadingRow extends StoredReading {
  readonly instrument: InstrumentId;
  readonly known: number;
}

/** A reading with its place among those of its time. */
export interface StoredReading extends Reading {
  readonly arrival: number;
}

/** Where a row stands among all of its instrument: by time, the venue’s order, arrival. Readings have the order 0. */
export type RowPlace = readonly [time: number, order: number, arrival: number];

export interface SeriesRows {
  readonly trades: readonly TradeRow[];
  readonly candles: readonly CandleRow[];
  readonly readings: readonly ReadingRow[];
  /** What is deleted before these rows are written. */
  readonly withdrawn?: readonly Withdrawal[];
}

/**
 * Trades and readings of an instrument after a time, and the venue’s candles that open after it. Of other candles, those that are not over at `reopened`
 * (both epoch ms). Rows that are archived already stay.
 */
export interface Withdrawal {
  readonly instrument: InstrumentId;
  readonly after: number;
  readonly reopened: number;
}

/** Order of rows by their place: `asc` is oldest first, `desc` is newest first. */
export type RowOrder = 'asc' | 'desc';

/** `from` inclusive, `to` exclusive, epoch ms. Returns the first `limit` rows of the range in this order. */
interface RangeQuery {
  readonly instrument: InstrumentId;
  readonly from: number;
  readonly to: number;
  readonly order: RowOrder;
  readonly limit: number;
}

/** With `after`, only the rows that follow this place in the order of the query: so pages neither repeat nor omit a row. */
export interface PagedQuery extends RangeQuery {
  readonly after?: RowPlace;
}

export interface CandleQuery extends RangeQuery {
  readonly interval: Interval;
  /** Answers with what was known at this moment; epoch ms. */
  readonly asOf?: number;
}

/** Parallel columns, one entry a candle, in the order of the query. */
export interface CandleColumns {
  readonly time: Float64Array;
  readonly open: Float64Array;
  readonly high: Float64Array;
  readonly low: Float64Array;
  readonly close: Float64Array;
  readonly volume: Float64Array;
  readonly version: Float64Array;
}

export interface SeriesStats {
  readonly trades: number;
  readonly candles: number;
  readonly readings: number;
  readonly archivedFiles: number;
  readonly archivedRows: number;
  /** Archive files that could not be read and are left out of every answer, with the reason. */
  readonly damaged: readonly { path: string; reason: string }[];
}

export interface SeriesOptions {
  readonly folder: string;
  readonly memoryMiB: number;
  readonly archiveAfterDays: number;
  readonly keepDays: number;
}

/** How far a consumer group has read the log. */
export interface SeriesReader {
  readonly group: string;
  readonly read: readonly ReadRange[];
}

/** What the trades of one period sum up to. */
export interface TradeSum {
  /** Where the period begins, epoch ms. */
  readonly opening: number;
  /** Times and prices of the first and of the last trade by (time, order, arrival). */
  readonly firstTime: number;
  readonly firstOrder: number;
  readonly open: number;
  readonly lastTime: number;
  readonly lastOrder: number;
  readonly close: number;
  readonly high: number;
  readonly low: number;
  readonly volume: number;
  /** Most decimals of any quantity; above 12 where one is in exponential notation. */
  readonly decimals: number;
  readonly trades: number;
}

export type StoredCandle = Omit<CandleRow, 'instrument' | 'known'>;

export interface PastQuery {
  readonly instrument: InstrumentId;
  readonly interval: Interval;
  /** Openings in [from, to), epoch ms. */
  readonly from: number;
  readonly to: number;
}

/** What candles are made anew of. */
export interface PastReads {
  /** How long rows are kept from when they became known, ms. */
  readonly keepMs: number;
  /** Newest versions of the interval’s candles and of the venue’s own candles of any interval, that open in the range. */
  candles(query: PastQuery): Promise<StoredCandle[]>;
  /** Opening of the newest candle of any interval that opens before `to` (epoch ms); null where there is none. */
  newestOpening(query: { readonly instrument: InstrumentId; readonly to: number }): Promise<number | null>;
  /** What the trades of each period of the interval sum up to, those at times in `covered` ([from, to)) left out. Periods without trades are left out. */
  tradeSums(query: PastQuery & { readonly covered: readonly (readonly [from: number, to: number])[] }): Promise<TradeSum[]>;
}

/** The store as a transaction sees it, with the rows that it has written itself. */
export interface Past extends PastReads {
  /** Writes candles in the same transaction. */
  append(candles: readonly CandleRow[]): Promise<void>;
}

/** Where candles, trades and readings live for years: hot rows in a database, older days in Parquet files, one view of both. */
export interface SeriesStore {
  /**
   * Writes the rows and, in the same transaction, what `remake` adds and how far the group has read its partitions.
   * @param remake is given the store with the new rows
   * @throws OffsetsChanged when a partition is not read up to where its range begins
   */
  write(rows: SeriesRows, read: SeriesReader | null, remake?: (past: Past) => Promise<void>): Promise<void>;
  /** What `remake` is given to read, outside of a transaction. */
  readonly past: PastReads;
  offsets(group: string): Promise<ReadonlyMap<number, number>>;
  /** Instruments of which there ever was something. */
  instruments(): InstrumentId[];
  /** Whether there ever was something of an instrument. */
  has(instrument: InstrumentId): boolean;
  candles(query: CandleQuery): Promise<CandleColumns>;
  trades(query: PagedQuery): Promise<StoredTrade[]>;
  readings(query: PagedQuery & { name?: string }): Promise<StoredReading[]>;
  /** Moves finished days that are old enough into Parquet, and deletes those past their time. Returns the rows moved. */
  archive(now: number): Promise<number>;
  stats(): Promise<SeriesStats>;
  close(): Promise<void>;
}
