import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coalesced } from './coalesced.ts';

test('calls during a run share the next run, which starts after the current one has ended', async () => {
  const ends: (() => void)[] = [];
  const run = coalesced(() => new Promise((resolve) => ends.push(resolve)));
  const resolved: string[] = [];
  const call = (name: string) => run().then(() => resolved.push(name));
  const first = call('first');
  const others = Array.from({ length: 1_000 }, (_none, index) => call(`other ${index}`));
  assert.equal(ends.length, 1);
  ends[0]?.();
  await first;
  assert.deepEqual(resolved, ['first']);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(ends.length, 2, 'the second run starts when the first has ended');
  ends[1]?.();
  await Promise.all(others);
  const last = call('last');
  assert.equal(ends.length, 3);
  ends[2]?.();
  await last;
});

test('a run that fails rejects only its own callers', async () => {
  let fails = true;
  const run = coalesced(() => (fails ? Promise.reject(new Error('no')) : Promise.resolve()));
  const [first, second] = [run(), run()];
  fails = false;
  await assert.rejects(first, /no/);
  await second;
});
