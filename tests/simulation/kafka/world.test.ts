import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT_NAMES } from '../faults.ts';
import { simulate } from '../simulate.ts';

/** `npm run simulate -- --kafka --seeds 1000` runs more. */
const SEEDS = process.env.TEST_ALL ? 12 : 4;

test('the world on simulated brokers loses and duplicates nothing, and equals its log, for every seed', async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { mistakes, stats } = await simulate(seed, FAULT_NAMES, { isOnKafka: true });
    assert.deepEqual(mistakes, [], `npm run simulate -- --kafka --seed ${seed}`);
    assert.ok(stats.accepted > 20, `in seed ${seed} only ${stats.accepted} commands were accepted`);
  }
});

test('the world on simulated brokers is deterministic for a seed', async () => {
  const [one, again] = [await simulate(3, FAULT_NAMES, { isOnKafka: true }), await simulate(3, FAULT_NAMES, { isOnKafka: true })];
  assert.equal(one.fingerprint, again.fingerprint);
  assert.deepEqual(one.story, again.story);
});
