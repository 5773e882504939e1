import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BYTES_MAX, ResponseCache } from './response-cache.ts';

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

test('a fresh response is returned again, and computed once for concurrent requests', async () => {
  const { ask, pass, cache } = cached();
  assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [1, 1, 1]);
  pass(1_000);
  assert.equal(await ask(), 1);
  // Requests that wait for a computation in progress count as hits.
  assert.deepEqual([cache.stats().misses, cache.stats().hits], [1, 3]);
});

test('a stale response is returned at once, while the next is computed', async () => {
  const { ask, pass, made } = cached();
  await ask();
  pass(1_001);
  assert.equal(await ask(), 1);
  while (made() < 2) await new Promise(setImmediate);
  assert.equal(await ask(), 2);
  pass(6_001);
  assert.equal(await ask(), 3);
});

test('an event invalidates the responses about its subject at once, and no others', async () => {
  const { ask, cache } = cached();
  assert.equal(await ask('a', 'one'), 1);
  assert.equal(await ask('b', 'other'), 2);
  cache.invalidate('one');
  assert.equal(await ask('a', 'one'), 3);
  assert.equal(await ask('b', 'other'), 2);
});

test('a response in progress during an event is returned only to requests before the event', async () => {
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

test('a failed computation is not cached, and a stale response outlives it', async () => {
  let now = 0;
  const cache = new ResponseCache(() => now);
  const fails = async () => {
    throw new Error('unavailable');
  };
  await assert.rejects(cache.get('q', 't', RULE, fails), /unavailable/);
  assert.equal((await cache.get('q', 't', RULE, async () => 1)).body, '1');
  now = 2_000;
  assert.equal((await cache.get('q', 't', RULE, fails)).body, '1');
  await new Promise(setImmediate);
  assert.equal((await cache.get('q', 't', RULE, async () => 2)).body, '1');
});

test('a bounded number of responses is kept, the most recent ones', async () => {
  const cache = new ResponseCache(() => 0);
  for (let index = 0; index < 2_100; index++) await cache.get(`q${index}`, `t${index}`, RULE, async () => index);
  assert.equal(cache.stats().responses, 2_000);
  const large = 'x'.repeat(10 * 1024 * 1024);
  for (let index = 0; index < 10; index++) await cache.get(`large${index}`, 'large', RULE, async () => large);
  assert.ok(cache.stats().bytes <= 64 * 1024 * 1024);
  cache.invalidate('large');
  assert.ok(cache.stats().bytes < 100_000);
});

test('a response larger than the cache is returned, and leaves nothing in it', async () => {
  const cache = new ResponseCache(() => 0);
  const { body } = await cache.get('q', 't', RULE, async () => 'x'.repeat(BYTES_MAX));
  assert.equal(body.length, BYTES_MAX + 2);
  cache.invalidate('t');
  const { responses, bytes, invalidated } = cache.stats();
  assert.deepEqual({ responses, bytes, invalidated }, { responses: 0, bytes: 0, invalidated: 0 });
});
