export { openDuckDbSeries } from './duckdb-series.ts';
export { readParquet } from './parquet.ts';
export type {
  CandleColumns,
  CandleQuery,
  CandleRow,
  PagedQuery,
  Past,
  PastQuery,
  PastReads,
  ReadingRow,
  RowOrder,
  RowPlace,
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
