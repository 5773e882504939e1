import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TIME_FACTOR } from '@millrace/testing';
import { fuzzServer } from './running.ts';

/** Long enough to ask every operation several times; `npm run fuzz` goes on for longer, with another seed each time. */
const MILLISECONDS = 12_000 * TIME_FACTOR;

test('whatever is asked of any operation: nothing fails, hangs, or tells of the server’s inside', async () => {
  const { findings, operations, requests, failures } = await fuzzServer(MILLISECONDS, 1);
  assert.deepEqual(findings, []);
  assert.ok(operations > 70, `${operations} operations`);
  assert.ok(requests > 2 * operations, `${requests} requests`);
  assert.deepEqual(failures, []);
});
