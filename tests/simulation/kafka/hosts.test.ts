import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulateHosts } from './simulate-hosts.ts';

/** `npm run simulate -- --hosts --seeds 1000` runs more. */
const SEEDS = 6;

test('law: zone hosts on simulated brokers write one branch, and tell nobody anything false, for every seed', async () => {
  let durable = 0;
  let unknown = 0;
  let standby = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { mistakes, ...run } = await simulateHosts(seed);
    assert.deepEqual(mistakes, [], `npm run simulate -- --hosts --seed ${seed}`);
    durable += run.durable;
    unknown += run.unknown;
    standby += run.standby;
  }
  // The situations to check have occurred.
  assert.ok(durable > SEEDS * 400 && unknown > SEEDS * 20 && standby > SEEDS, JSON.stringify({ durable, unknown, standby }));
  const again = await simulateHosts(3);
  assert.deepEqual(await simulateHosts(3), again, 'a seed gives the same run');
});
