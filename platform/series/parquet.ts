import { existsSync, statSync } from 'node:fs';
import { DuckDBInstance } from '@duckdb/node-api';

/** Rows handed on at a time. */
const ROWS_MAX = 2_048;

/**
 * Reads any Parquet file, some thousand rows at a time, each an object by column name.
 * @throws with the path and what to do, when it is missing, empty or no Parquet
 */
export async function* readParquet(path: string): AsyncGenerator<Record<string, unknown>[]> {
  if (!existsSync(path)) throw new Error(`${path} does not exist. Check the path of the source.`);
  if (statSync(path).size === 0) throw new Error(`${path} is empty (0 bytes), so it is no Parquet file. Write it again, or remove it.`);
  const instance = await DuckDBInstance.create(':memory:', { memory_limit: '256MB', threads: '1' });
  const connection = await instance.connect();
  try {
    const result = await connection.stream('SELECT * FROM read_parquet($path)', { path });
    const names = result.columnNames();
    let rows: Record<string, unknown>[] = [];
    for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
      for (const values of chunk.getRows()) {
        rows.push(Object.fromEntries(names.map((name, index) => [name, plain(values[index])])));
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

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'object' && value !== null && 'micros' in value) return Number(value.micros) / 1_000;
  if (typeof value === 'object' && value !== null) return String(value);
  return value;
}
