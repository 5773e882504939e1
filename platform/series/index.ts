export { openDuckDbSeries } from './duckdb-series.ts';
export { readParquet } from './parquet.ts';
export type {
  CandleColumns,
  CandleQuery,
  CandleRow,
  RangeQuery,
  ReadingRow,
  SeriesFigures,
  SeriesOptions,
  SeriesRows,
  SeriesStore,
  TradeRow,
} from './series-store.ts';
