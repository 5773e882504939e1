import { DOUBLE, INTEGER, UTINYINT, VARCHAR } from '@duckdb/node-api';
import type { CandleOrigin, Side } from '@millrace/contracts';
import type { Column } from './columns.ts';
import type { CandleRow, ReadingRow, TradeRow } from './series-store.ts';

const SIDES: readonly Side[] = ['buy', 'sell', 'unknown'];
const ORIGINS: readonly CandleOrigin[] = ['trades', 'venue', 'mixed'];

/** Columns of the tables, in their order. */
export interface TableColumns {
  readonly trades: readonly Column<TradeRow>[];
  readonly candles: readonly Column<CandleRow>[];
  readonly readings: readonly Column<ReadingRow>[];
}

/** The columns, with codes for names. @param codeOf code of a name in the table `names` */
export function tableColumns(codeOf: (name: string) => number): TableColumns {
  const trades: readonly Column<TradeRow>[] = [
    { name: 'instrument', type: INTEGER, of: (row) => codeOf(row.instrument) },
    { name: 'time', type: DOUBLE, of: (row) => row.time },
    { name: 'rank', type: DOUBLE, of: (row) => row.order },
    { name: 'price', type: VARCHAR, of: (row) => row.price },
    { name: 'quantity', type: VARCHAR, of: (row) => row.quantity },
    { name: 'side', type: UTINYINT, of: (row) => SIDES.indexOf(row.side) },
    // Most venues number their trades. The id then equals the rank and is stored as null.
    { name: 'id', type: VARCHAR, of: (row) => (row.id === String(row.order) ? null : row.id) },
    { name: 'known', type: DOUBLE, of: (row) => row.known },
    { name: 'arrival', type: DOUBLE, of: (row) => row.arrival },
  ];

  const candles: readonly Column<CandleRow>[] = [
    { name: 'instrument', type: INTEGER, of: (row) => codeOf(row.instrument) },
    { name: 'interval', type: INTEGER, of: (row) => codeOf(row.interval) },
    { name: 'time', type: DOUBLE, of: (row) => row.time },
    { name: 'open', type: DOUBLE, of: (row) => row.open },
    { name: 'high', type: DOUBLE, of: (row) => row.high },
    { name: 'low', type: DOUBLE, of: (row) => row.low },
    { name: 'close', type: DOUBLE, of: (row) => row.close },
    { name: 'volume', type: DOUBLE, of: (row) => row.volume },
    { name: 'trades', type: INTEGER, of: (row) => row.trades },
    { name: 'version', type: INTEGER, of: (row) => row.version },
    { name: 'origin', type: UTINYINT, of: (row) => ORIGINS.indexOf(row.origin) },
    { name: 'known', type: DOUBLE, of: (row) => row.known },
  ];

  const readings: readonly Column<ReadingRow>[] = [
    { name: 'instrument', type: INTEGER, of: (row) => codeOf(row.instrument) },
    { name: 'time', type: DOUBLE, of: (row) => row.time },
    { name: 'name', type: INTEGER, of: (row) => codeOf(row.name) },
    { name: 'value', type: DOUBLE, of: (row) => row.value },
    { name: 'known', type: DOUBLE, of: (row) => row.known },
    { name: 'arrival', type: DOUBLE, of: (row) => row.arrival },
  ];
  return { trades, candles, readings };
}
