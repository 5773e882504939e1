import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coalesced } from './coalesced.ts';

test('who asks while work is under way is served by work that has begun since, together with all others', async () => {
  const ends: (() => void)[] = [];
  const ask = coalesced(() => new Promise((resolve) => ends.push(resolve)));
  const served: string[] = [];
  const note = (name: string) => ask().then(() => served.push(name));
  const first = note('first');
  const others = Array.from({ length: 1_000 }, (_none, index) => note(`other ${index}`));
  assert.equal(ends.length, 1);
  ends[0]?.();
  await first;
  assert.deepEqual(served, ['first']);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(ends.length, 2, 'the second time begins when the first is over');
  ends[1]?.();
  await Promise.all(others);
  const last = note('last');
  assert.equal(ends.length, 3);
  ends[2]?.();
  await last;
});

test('work that fails fails for those it was done for only', async () => {
  let fails = true;
  const ask = coalesced(() => (fails ? Promise.reject(new Error('no')) : Promise.resolve()));
  const [first, second] = [ask(), ask()];
  fails = false;
  await assert.rejects(first, /no/);
  await second;
});
