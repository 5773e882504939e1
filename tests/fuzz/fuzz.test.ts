import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzServer } from './running.ts';

/** Requests to each operation. `npm run fuzz` sends more, with any seed. */
const ROUNDS = 3;

test('random requests to every operation neither fail nor hang nor reveal internals', async () => {
  const { findings, operations, requests, failures } = await fuzzServer({ rounds: ROUNDS }, 1);
  assert.deepEqual(findings, []);
  assert.ok(operations > 70, `${operations} operations`);
  assert.ok(requests >= ROUNDS * operations, `${requests} requests`);
  assert.deepEqual(failures, []);
});
