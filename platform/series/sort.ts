import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DOUBLE, DuckDBInstance, VARCHAR } from '@duckdb/node-api';
import { appendRows, type Column } from './columns.ts';

/** A text with its sort keys: `first`, then `second`, then the input order. */
export interface SortedBy {
  readonly first: number;
  readonly second: number;
  readonly text: string;
}

const COLUMNS: readonly Column<SortedBy & { readonly position: number }>[] = [
  { name: 'first', type: DOUBLE, of: (row) => row.first },
  { name: 'second', type: DOUBLE, of: (row) => row.second },
  { name: 'position', type: DOUBLE, of: (row) => row.position },
  { name: 'text', type: VARCHAR, of: (row) => row.text },
];

/** Sorts texts and yields them in batches of some thousands. Uses at most 256 MB of memory, then the disk. */
export async function* sortTexts(batches: AsyncIterable<readonly SortedBy[]>): AsyncGenerator<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-sort-'));
  const instance = await DuckDBInstance.create(join(folder, 'sort.duckdb'), {
    memory_limit: '256MB',
    threads: '1',
    temp_directory: join(folder, 'spill'),
  });
  const connection = await instance.connect();
  try {
    await connection.run('CREATE TABLE texts ("first" DOUBLE, "second" DOUBLE, position DOUBLE, text VARCHAR)');
    const appender = await connection.createAppender('texts');
    let position = 0;
    for await (const batch of batches)
      appendRows(
        appender,
        COLUMNS,
        batch.map((row) => ({ ...row, position: position++ })),
      );
    appender.closeSync();
    const sorted = await connection.stream('SELECT text FROM texts ORDER BY "first", "second", position');
    for (let chunk = await sorted.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await sorted.fetchChunk())
      yield chunk.getRows().map(([text]) => String(text));
  } finally {
    connection.closeSync();
    instance.closeSync();
    rmSync(folder, { recursive: true, force: true });
  }
}
