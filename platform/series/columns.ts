import { type DuckDBAppender, DuckDBDataChunk, type DuckDBType, type DuckDBValue, type DuckDBVector } from '@duckdb/node-api';

/** Rows of one chunk: the vector size of DuckDB. */
const CHUNK_ROWS = 2_048;

/** A column, with the function that reads its value from a row. */
export interface Column<Row> {
  readonly name: string;
  readonly type: DuckDBType;
  readonly of: (row: Row) => DuckDBValue;
}

/** Appends rows column by column: several times as fast as row by row, and ten times as fast as SQL. */
export function appendRows<Row>(appender: DuckDBAppender, columns: readonly Column<Row>[], rows: readonly Row[]): void {
  const types = columns.map(({ type }) => type);
  for (let start = 0; start < rows.length; start += CHUNK_ROWS) {
    const count = Math.min(CHUNK_ROWS, rows.length - start);
    const chunk = DuckDBDataChunk.create(types, count);
    for (const [index, { of }] of columns.entries()) {
      const vector = chunk.getColumnVector(index);
      const numbers = numbersOf(vector);
      if (numbers) for (let row = 0; row < count; row++) numbers[row] = of(rows[start + row] as Row) as number;
      else for (let row = 0; row < count; row++) vector.setItem(row, of(rows[start + row] as Row));
      vector.flush();
    }
    appender.appendDataChunk(chunk);
  }
  appender.flushSync();
}

/**
 * The typed array behind a column of numbers. Writing to it is twice as fast as `setItem`, which also marks each value as valid. In a new chunk all
 * values are valid. The array is a private field of DuckDB’s client: null when the installed version does not have it.
 */
function numbersOf(vector: DuckDBVector): Float64Array | Int32Array | Uint8Array | null {
  const { items } = vector as unknown as { items?: unknown };
  return items instanceof Float64Array || items instanceof Int32Array || items instanceof Uint8Array ? items : null;
}
