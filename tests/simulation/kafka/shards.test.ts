import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { simulateShard } from './simulate-shard.ts';

/** `npm run simulate -- --shards --seeds 5000` runs more. */
const SEEDS = 15;

describe('law of a shard on simulated brokers', () => {
  test('what is confirmed is in the log once and in order, and every reader reads the same, for every seed', async () => {
    let durable = 0;
    let owned = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { mistakes, ...run } = await simulateShard(seed);
      assert.deepEqual(mistakes, [], `npm run simulate -- --shards --seed ${seed}`);
      durable += run.durable;
      owned += run.owned;
    }
    // The situations to check have occurred.
    assert.ok(durable > SEEDS * 200 && owned > SEEDS * 4, JSON.stringify({ durable, owned }));
  });

  test('is deterministic for a seed', async () => {
    assert.deepEqual(await simulateShard(5), await simulateShard(5));
  });
});
