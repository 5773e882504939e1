import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UserError } from '@millrace/base/user-error';
import { requireAllZones } from './left-out-zones.ts';

const plan = { seed: 1, columns: 2, rows: 1, monsters: 0, items: 0 };
const lists = (hot: string[], cold: string[]) => ({ hot: { zones: () => hot }, cold: { zones: async () => cold } });

test('a world without one of its earlier zones is refused, with the size that has them all', async () => {
  for (const [hot, cold] of [
    [
      ['world/0-0', 'world/2-0'],
      ['world/0-1', 'world/2-0'],
    ],
    [['world/2-0'], ['world/0-1']],
  ] as const)
    await assert.rejects(requireAllZones(plan, lists([...hot], [...cold])), (error) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.message, 'The world of 2 by 1 zones leaves out existing ones: 0-1, 2-0.');
      assert.match(error.remedy, /^Set worlds\.columns to 3 and worlds\.rows to 2, or more\./);
      return true;
    });
});

test('a world of the same size or larger is not refused, nor one in a topic with zones of other kinds', async () => {
  await requireAllZones(plan, lists([], []));
  await requireAllZones(plan, lists(['world/0-0', 'world/1-0'], ['world/1-0']));
  await requireAllZones({ ...plan, rows: 2 }, lists(['world/1-0'], ['other/9-9']));
});
