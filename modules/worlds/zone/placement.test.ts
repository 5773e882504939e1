import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zoneAddress } from '@millrace/kernel';
import { WORLD_PLACEMENT } from './placement.ts';
import { allZones } from './terrain.ts';

test('each zone of a world has a shard of its own, the same in larger worlds', () => {
  for (let size = 1; size <= 40; size++) {
    const shards = allZones({ columns: size, rows: size }).map((zone) => WORLD_PLACEMENT.shardOf(zoneAddress('world', zone)));
    assert.deepEqual(
      [...shards].sort((one, other) => one - other),
      shards.map((_shard, index) => index),
    );
  }
});
