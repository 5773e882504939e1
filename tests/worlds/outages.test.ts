import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stopEachInTurn } from './outages.ts';

/* Half a minute each, with the statistics: npm run bench -- outages */

test('outages of the log, the snapshots and the database: play continues, and finally the tables equal the zones', async () => {
  const plan = { seed: 3, columns: 2, rows: 2, monsters: 4, items: 20 };
  const { outages, differences, lostEvents } = await stopEachInTurn(plan, 40, 500, 2_500);
  for (const { service, during } of outages)
    assert.ok(during.length > 40, `${during.length} moves were answered while the ${service} was away`);
  assert.deepEqual(differences, []);
  assert.equal(lostEvents, 0);
});
