import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TIME_FACTOR } from '@millrace/testing';
import { fuzzServer } from './running.ts';

/** Long enough for several requests to every operation. `npm run fuzz` runs longer, with any seed. */
const MILLISECONDS = 6_000 * TIME_FACTOR;

test('random requests to every operation neither fail nor hang nor reveal internals', async () => {
  const { findings, operations, requests, failures } = await fuzzServer(MILLISECONDS, 1);
  assert.deepEqual(findings, []);
  assert.ok(operations > 70, `${operations} operations`);
  assert.ok(requests > 2 * operations, `${requests} requests`);
  assert.deepEqual(failures, []);
});
