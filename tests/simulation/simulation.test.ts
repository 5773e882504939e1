import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FAULT_NAMES } from './faults.ts';
import { simulate } from './simulate.ts';

/** `npm run simulate -- --seeds 1000` runs more. */
const SEEDS = process.env.TEST_ALL ? 25 : 15;

describe('the world under simulated faults', () => {
  test('loses and duplicates nothing, and equals its log, for every seed', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { mistakes, stats } = await simulate(seed, FAULT_NAMES);
      assert.deepEqual(mistakes, [], `npm run simulate -- --seed ${seed}`);
      assert.ok(stats.accepted > 20, `in seed ${seed} only ${stats.accepted} commands were accepted`);
    }
  });

  test('is deterministic for a seed', async () => {
    const [one, again, other] = [await simulate(7, FAULT_NAMES), await simulate(7, FAULT_NAMES), await simulate(8, FAULT_NAMES)];
    assert.equal(one.fingerprint, again.fingerprint);
    assert.deepEqual(one.story, again.story);
    assert.notEqual(one.fingerprint, other.fingerprint);
  });

  test('passes without faults', async () => {
    const { mistakes, stats } = await simulate(1, []);
    assert.deepEqual(mistakes, []);
    assert.equal(stats.claims, 3, 'each zone has one owner all the time');
  });
});
