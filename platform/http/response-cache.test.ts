import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseCache } from './response-cache.ts';

const RULE = { maxAgeMs: 1_000, staleMs: 5_000 };

function cached() {
  let now = 0;
  let made = 0;
  const cache = new ResponseCache(() => now);
  const ask = async (question = 'q', tag = 't') => {
    const { body } = await cache.get(question, tag, RULE, async () => ({ made: ++made }));
    return (JSON.parse(body) as { made: number }).made;
  };
  return { cache, ask, pass: (ms: number) => (now += ms), made: () => made };
}

test('an answer is given again while it is fresh, and made once however many ask', async () => {
  const { ask, pass, cache } = cached();
  assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [1, 1, 1]);
  pass(1_000);
  assert.equal(await ask(), 1);
  // Those who wait for the one that is being made are given it, too.
  assert.deepEqual([cache.stats().misses, cache.stats().hits], [1, 3]);
});

test('one that is no longer fresh is given at once, while the next is made', async () => {
  const { ask, pass, made } = cached();
  await ask();
  pass(1_001);
  assert.equal(await ask(), 1);
  while (made() < 2) await new Promise(setImmediate);
  assert.equal(await ask(), 2);
  pass(6_001);
  assert.equal(await ask(), 3);
});

test('an event makes what it is about count no more at once, and nothing else', async () => {
  const { ask, cache } = cached();
  assert.equal(await ask('a', 'one'), 1);
  assert.equal(await ask('b', 'other'), 2);
  cache.invalidate('one');
  assert.equal(await ask('a', 'one'), 3);
  assert.equal(await ask('b', 'other'), 2);
});

test('what was being made when the event came is given only to those who asked before', async () => {
  const cache = new ResponseCache(() => 0);
  let finish: (value: string) => void = () => {};
  const early = cache.get('q', 't', RULE, () => new Promise((resolve) => (finish = resolve)));
  cache.invalidate('t');
  const late = cache.get('q', 't', RULE, async () => 'after');
  finish('before');
  assert.equal((await early).body, '"before"');
  assert.equal((await late).body, '"after"');
  assert.equal((await cache.get('q', 't', RULE, async () => 'never')).body, '"after"');
});

test('what cannot be made is not remembered, and a stale answer outlives it', async () => {
  let now = 0;
  const cache = new ResponseCache(() => now);
  const fails = async () => {
    throw new Error('away');
  };
  await assert.rejects(cache.get('q', 't', RULE, fails), /away/);
  assert.equal((await cache.get('q', 't', RULE, async () => 1)).body, '1');
  now = 2_000;
  assert.equal((await cache.get('q', 't', RULE, fails)).body, '1');
  await new Promise(setImmediate);
  assert.equal((await cache.get('q', 't', RULE, async () => 2)).body, '1');
});

test('no more than a bound is kept, the newest', async () => {
  const cache = new ResponseCache(() => 0);
  for (let index = 0; index < 2_100; index++) await cache.get(`q${index}`, `t${index}`, RULE, async () => index);
  assert.equal(cache.stats().responses, 2_000);
  const large = 'x'.repeat(10 * 1024 * 1024);
  for (let index = 0; index < 10; index++) await cache.get(`large${index}`, 'large', RULE, async () => large);
  assert.ok(cache.stats().bytes <= 64 * 1024 * 1024);
  cache.invalidate('large');
  assert.ok(cache.stats().bytes < 100_000);
});
