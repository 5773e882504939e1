export { openDuckDbSeries } from './duckdb-series.ts';
export { readParquet } from './parquet.ts';
export type {
  CandleColumns,
  CandleQuery,
  CandleRow,
  PagedQuery,
  ReadingRow,
  RowPlace,
  SeriesFigures,
  SeriesOptions,
  SeriesRows,
  SeriesStore,
  StoredReading,
  StoredTrade,
  TradeRow,
} from './series-store.ts';
export { sortTexts } from './sort.ts';
