import type { ReadRange } from '@millrace/base/offsets';
import type { CandleOrigin, InstrumentId, Interval, Reading, Trade } from '@millrace/contracts';

/** A trade to write. `known` is the time at which this installation learned of it, epoch ms. */
export interface TradeRow extends StoredTrade {
  readonly instrument: InstrumentId;
  readonly known: number;
}

/** A stored trade. `arrival` is the seq of its event in the instrument’s zone: it orders trades with equal time and order. */
export interface StoredTrade extends Trade {
  readonly arrival: number;
}

/** One version of a candle to write. `time` (its opening) and `known` are epoch ms. */
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

/** A reading to write. `known` as in `TradeRow`. */
export interface ReadingRow extends StoredReading {
  readonly instrument: InstrumentId;
  readonly known: number;
}

/** A stored reading. `arrival` orders readings with equal time. */
export interface StoredReading extends Reading {
  readonly arrival: number;
}

/** Sort key of a row within its instrument: time, the venue’s order, arrival. The order of readings is 0. */
export type RowKey = readonly [time: number, order: number, arrival: number];

/** Rows of one write. */
export interface SeriesRows {
  readonly trades: readonly TradeRow[];
  readonly candles: readonly CandleRow[];
  readonly readings: readonly ReadingRow[];
  /** Deletions to apply before the rows are written. */
  readonly withdrawn?: readonly Withdrawal[];
}

/**
 * Deletes trades and readings of an instrument with a time after `after`, and candles that open after it. Also deletes candles of the origins
 * `trades` and `mixed` that end after `reopened`. Both times are epoch ms. Archived rows stay.
 */
export interface Withdrawal {
  readonly instrument: InstrumentId;
  readonly after: number;
  readonly reopened: number;
}

/** Order of rows by their sort key (`RowKey`): `asc` is oldest first, `desc` is newest first. */
export type RowOrder = 'asc' | 'desc';

/** Selects the first `limit` rows of a time range in this order. `from` is inclusive, `to` exclusive, both epoch ms. */
interface RangeQuery {
  readonly instrument: InstrumentId;
  readonly from: number;
  readonly to: number;
  readonly order: RowOrder;
  readonly limit: number;
}

/** With `after`, only rows after this sort key in the order of the query: pages neither repeat nor omit a row. */
export interface PagedQuery extends RangeQuery {
  readonly after?: RowKey;
}

/** Selects candles of one interval, each in one version. */
export interface CandleQuery extends RangeQuery {
  readonly interval: Interval;
  /** Selects the newest versions known at this time, epoch ms. Default: the newest versions. */
  readonly asOf?: number;
}

/** Candles as parallel columns, in the order of the query. */
export interface CandleColumns {
  readonly time: Float64Array;
  readonly open: Float64Array;
  readonly high: Float64Array;
  readonly low: Float64Array;
  readonly close: Float64Array;
  readonly volume: Float64Array;
  readonly version: Float64Array;
}

/** Number of rows in the database by table, and the files and rows of the archive. */
export interface SeriesStats {
  readonly trades: number;
  readonly candles: number;
  readonly readings: number;
  readonly archivedFiles: number;
  readonly archivedRows: number;
  /** Archive files that cannot be read, with the reason. Queries skip them. */
  readonly damaged: readonly { path: string; reason: string }[];
}

/** Folder, memory limit and retention of a series store. */
export interface SeriesOptions {
  readonly folder: string;
  readonly memoryMiB: number;
  readonly archiveAfterDays: number;
  readonly keepDays: number;
}

/** A consumer group, with the offset ranges that it has read. */
export interface SeriesReader {
  readonly group: string;
  readonly read: readonly ReadRange[];
}

/** Aggregate of the trades of one period. */
export interface TradeSum {
  /** Start of the period, epoch ms. */
  readonly opening: number;
  /** Time (epoch ms), order and price of the first and of the last trade, sorted by time, order and arrival. */
  readonly firstTime: number;
  readonly firstOrder: number;
  readonly open: number;
  readonly lastTime: number;
  readonly lastOrder: number;
  readonly close: number;
  readonly high: number;
  readonly low: number;
  readonly volume: number;
  /** Largest number of decimals of a quantity. 99 when a quantity has exponential notation. */
  readonly decimals: number;
  readonly trades: number;
}

/** Newest version of a candle of one instrument. */
export type StoredCandle = Omit<CandleRow, 'instrument' | 'known'>;

/** Selects candles or trades of an instrument and interval. */
export interface RecomputeQuery {
  readonly instrument: InstrumentId;
  readonly interval: Interval;
  /** Openings in [from, to), epoch ms. */
  readonly from: number;
  readonly to: number;
}

/** Reads of stored rows from which candles are recomputed. */
export interface RecomputeReads {
  /** Retention of rows from their `known` time, ms. */
  readonly keepMs: number;
  /** Newest versions of candles that open in the range: all candles of the interval, and candles by the venue of any interval. */
  candles(query: RecomputeQuery): Promise<StoredCandle[]>;
  /** Opening of the newest candle of any interval that opens before `to`, epoch ms. Null without such a candle. */
  newestOpening(query: { readonly instrument: InstrumentId; readonly to: number }): Promise<number | null>;
  /** Trade aggregates of the periods of the interval. Omits trades with a time in a `covered` range ([from, to)), and periods without trades. */
  tradeSums(query: RecomputeQuery & { readonly covered: readonly (readonly [from: number, to: number])[] }): Promise<TradeSum[]>;
}

/** Reads and writes within a transaction. Reads include the rows that the transaction wrote. */
export interface RecomputeTransaction extends RecomputeReads {
  /** Writes candles in the same transaction. */
  append(candles: readonly CandleRow[]): Promise<void>;
}

/** Long-term storage of candles, trades and readings: new rows in a database, older days in Parquet files. Queries read both. */
export interface SeriesStore {
  /**
   * Writes rows, the candles that `recompute` adds, and the offsets of the consumer group, in one transaction.
   * @param recompute is called after the rows are written
   * @throws OffsetsChanged when the stored offset of a partition is not the start of its range
   */
  write(rows: SeriesRows, read: SeriesReader | null, recompute?: (transaction: RecomputeTransaction) => Promise<void>): Promise<void>;
  /** The reads of `RecomputeTransaction`, outside of a transaction. */
  readonly recomputeReads: RecomputeReads;
  /** Next offset to read by partition, for a consumer group. */
  offsets(group: string): Promise<ReadonlyMap<number, number>>;
  /** The consumer groups that have offsets. */
  groups(): Promise<readonly string[]>;
  /** Instruments that ever had a row. */
  instruments(): InstrumentId[];
  /** Whether an instrument ever had a row. */
  has(instrument: InstrumentId): boolean;
  candles(query: CandleQuery): Promise<CandleColumns>;
  trades(query: PagedQuery): Promise<StoredTrade[]>;
  readings(query: PagedQuery & { name?: string }): Promise<StoredReading[]>;
  /** Moves old days to Parquet files and deletes expired files. Returns the number of moved rows. @param now epoch ms */
  archive(now: number): Promise<number>;
  stats(): Promise<SeriesStats>;
  close(): Promise<void>;
}
