import { existsSync, statSync } from 'node:fs';
import {
  DuckDBDateValue,
  DuckDBInstance,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
} from '@duckdb/node-api';

/** Maximum number of rows per batch. */
const ROWS_MAX = 2_048;

/**
 * Reads a Parquet file in batches of at most `ROWS_MAX` rows. Each row is an object by column name.
 * @throws Error with the path when the file does not exist, is empty, or is not a Parquet file
 */
export async function* readParquet(path: string): AsyncGenerator<Record<string, unknown>[]> {
  if (!existsSync(path)) throw new Error(`${path} does not exist. Check the path of the source.`);
  if (statSync(path).size === 0) throw new Error(`${path} is empty (0 bytes), so it is not a Parquet file. Write it again, or remove it.`);
  const instance = await DuckDBInstance.create(':memory:', { memory_limit: '256MB', threads: '1' });
  const connection = await instance.connect();
  try {
    const result = await connection.stream('SELECT * FROM read_parquet($path)', { path });
    const names = result.columnNames();
    let rows: Record<string, unknown>[] = [];
    for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
      for (const values of chunk.getRows()) {
        rows.push(Object.fromEntries(names.map((name, index) => [name, jsonValue(values[index])])));
        if (rows.length >= ROWS_MAX) {
          yield rows;
          rows = [];
        }
      }
    }
    if (rows.length > 0) yield rows;
  } catch (error) {
    throw new Error(`${path} cannot be read as Parquet: ${error instanceof Error ? error.message : error}`);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** A value for JSON: integers beyond 2^53 as strings; timestamps as strings of epoch ms with all their digits; dates as epoch ms. */
function jsonValue(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof DuckDBTimestampValue || value instanceof DuckDBTimestampTZValue) return millisecondsOf(value.micros, 3);
  if (value instanceof DuckDBTimestampNanosecondsValue) return millisecondsOf(value.nanos, 6);
  if (value instanceof DuckDBDateValue) return value.days * DAY_MS;
  if (typeof value === 'object' && value !== null) return String(value);
  return value;
}

const DAY_MS = 86_400_000;

/** A count of smaller units as a decimal string of ms. @param digits decimals: 3 for microseconds, 6 for nanoseconds */
function millisecondsOf(count: bigint, digits: number): string {
  const size = String(count < 0n ? -count : count).padStart(digits + 1, '0');
  return `${count < 0n ? '-' : ''}${size.slice(0, -digits)}.${size.slice(-digits)}`;
}
