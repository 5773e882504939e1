import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { readParquet } from './parquet.ts';

const folder = mkdtempSync(join(tmpdir(), 'millrace-parquet-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Writes the result of a query to a Parquet file and reads the file back. */
async function rowsOf(query: string): Promise<Record<string, unknown>[]> {
  const path = join(folder, `${Math.random()}.parquet`);
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  await connection.run(`COPY (${query}) TO '${path}' (FORMAT parquet)`);
  connection.closeSync();
  instance.closeSync();
  return (await Array.fromAsync(readParquet(path))).flat();
}

test('fault 55: an integer beyond 2^53 keeps its digits', async () => {
  assert.deepEqual(await rowsOf('SELECT 9007199254740993::BIGINT AS id, 12::BIGINT AS small, 18446744073709551615::UBIGINT AS large'), [
    { id: '9007199254740993', small: 12, large: '18446744073709551615' },
  ]);
});

test('fault 69: timestamps of every column type become epoch ms with all their digits', async () => {
  const timestamp = '2021-10-12 00:28:03.123456';
  assert.deepEqual(
    await rowsOf(
      `SELECT TIMESTAMP '${timestamp}' AS us, TIMESTAMP_NS '${timestamp}789' AS ns, TIMESTAMP '1969-12-31 23:59:59.9999' AS before, DATE '2021-10-12' AS day`,
    ),
    [
      {
        us: '1633998483123.456',
        ns: '1633998483123.456789',
        before: '-0.100',
        day: Date.UTC(2021, 9, 12),
      },
    ],
  );
});
