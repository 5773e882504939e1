import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulateReactor } from './reactors.ts';

/** `npm run simulate -- --reactors --seeds 500` runs more. */
const SEEDS = process.env.TEST_ALL ? 60 : 30;

test('law: every event has its effects in another topic exactly once and in order, despite crashes, hangs and repeated deliveries', async () => {
  const sums = { events: 0, effects: 0, deadLetters: 0, skipped: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { mistakes, ...run } = await simulateReactor(seed);
    assert.deepEqual(mistakes, [], `npm run simulate -- --reactors --seed ${seed}`);
    for (const key of ['events', 'effects', 'deadLetters', 'skipped'] as const) sums[key] += run[key];
  }
  // The situations to check have occurred.
  assert.ok(sums.effects > SEEDS * 50 && sums.deadLetters > SEEDS && sums.skipped > 0, JSON.stringify(sums));
});
