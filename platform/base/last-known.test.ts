import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LastKnown } from './last-known.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('gives the last value that was read, and reads one at a time', async () => {
  const reads: PromiseWithResolvers<number>[] = [];
  const known = new LastKnown(() => {
    reads.push(Promise.withResolvers());
    return reads.at(-1)?.promise ?? Promise.reject(new Error('none'));
  }, 0);
  assert.deepEqual([known.get(), known.get(), reads.length], [0, 0, 1], 'a store that does not respond is asked once');
  reads[0]?.resolve(7);
  await turn();
  assert.deepEqual([known.get(), reads.length], [7, 2]);
  reads[1]?.reject(new Error('connection refused'));
  await turn();
  assert.deepEqual([known.get(), reads.length], [7, 3], 'a failed read changes nothing');
});
