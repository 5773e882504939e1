import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FAULTS_MS, type GroupAction, MEMBERS, simulateGroup } from './consumer-groups.ts';

const RUNS = process.env.TEST_ALL ? 150 : 40;
const MS_MAX = 12_000;

const kinds = fc.constantFrom<GroupAction['kind']>(
  'start',
  'start',
  'start',
  'stop',
  'crash',
  'pause',
  'pause',
  'database',
  'slow',
  'cut',
  'cut',
);
const actions = fc.array(
  fc.record({ at: fc.nat(FAULTS_MS - 1), member: fc.nat(MEMBERS - 1), kind: kinds, ms: fc.integer({ min: 100, max: MS_MAX }) }),
  { minLength: 4, maxLength: 30 },
);

test('law: processes that share a group apply each event once and in order, and divide the partitions, whatever joins, leaves, hangs or fails', async () => {
  const sums = { handovers: 0, refused: 0, lapses: 0, dead: 0 };
  await fc.assert(
    fc.asyncProperty(fc.nat(1_000_000), actions, async (seed, history) => {
      const { mistakes, counts } = await simulateGroup(seed, history);
      assert.deepEqual(mistakes, []);
      for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += counts[key];
    }),
    { numRuns: RUNS, ...(process.env.SEED !== undefined && { seed: Number(process.env.SEED) }) },
  );
  // The situations to check have occurred.
  for (const [what, count] of Object.entries(sums)) assert.ok(count > RUNS / 10, `${what}: ${count}`);
});
