export { openDuckDbSeries } from './duckdb-series.ts';
export { readParquet } from './parquet.ts';
export type {
  CandleColumns,
  CandleQuery,
  CandleRow,
  PagedQuery,
  ReadingRow,
  RecomputeQuery,
  RecomputeReads,
  RecomputeTransaction,
  RowKey,
  RowOrder,
  SeriesOptions,
  SeriesRows,
  SeriesStats,
  SeriesStore,
  StoredCandle,
  StoredReading,
  StoredTrade,
  TradeRow,
  TradeSum,
  Withdrawal,
} from './series-store.ts';
export { sortTexts } from './sort.ts';
