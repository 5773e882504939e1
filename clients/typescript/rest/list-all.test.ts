import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listAll } from './list-all.ts';

test('a list is read page by page, each page when it is needed', async () => {
  const requests: object[] = [];
  const list = async (args: { tenant: string; limit?: number; cursor?: string }) => {
    requests.push(args);
    const from = Number(args.cursor ?? 0);
    return { data: [from, from + 1], hasMore: from < 4, nextCursor: from >= 4 ? null : String(from + 2) };
  };
  const rows: number[] = [];
  for await (const row of listAll(list, { tenant: 'main' })) {
    rows.push(row);
    if (row === 3) assert.equal(requests.length, 2);
  }
  assert.deepEqual(rows, [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(requests[1], { tenant: 'main', limit: 1_000, cursor: '2' });
});
