import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SHARD_START } from './reader-rule.ts';
import type { ShardBroker } from './shard-broker.ts';
import { MemoryCursors, ShardCursors } from './shard-cursors.ts';
import { encodeRecord } from './shard-records.ts';

const claim = encodeRecord({ kind: 'claim', epoch: 1, previous: 0, nonce: 'a' }).value;
const head = encodeRecord({ kind: 'head', epoch: 1, nonce: 'a', index: 0 }).value;

/** A shard with records at the given offsets, whose leader has them up to a high watermark. */
function shardOf(records: ReadonlyMap<number, Buffer>) {
  const leader = { highWatermark: 0 };
  const broker = {
    startOf: async () => 0,
    fetch: async (_shard: number, offset: number) => ({
      start: 0,
      highWatermark: leader.highWatermark,
      records: [...records].flatMap(([at, value]) => (at >= offset && at < leader.highWatermark ? [{ offset: at, value }] : [])),
    }),
  } as unknown as ShardBroker;
  return { leader, broker };
}

test('a leader that has less than was read before gives no cursor: the one from before would be wrong', async () => {
  const { leader, broker } = shardOf(new Map([[0, claim]]));
  const cursors = new ShardCursors(broker, new MemoryCursors());
  await assert.rejects(cursors.at(0, 1), /does not have offset 1 yet/);
  leader.highWatermark = 1;
  assert.deepEqual(await cursors.at(0, 1), { offset: 1, epoch: 1, nonce: 'a', index: 0 });
});

test('the cursor at a hole is that of the record before it', async () => {
  const { leader, broker } = shardOf(
    new Map([
      [0, claim],
      [5, head],
    ]),
  );
  leader.highWatermark = 6;
  const cursors = new ShardCursors(broker, new MemoryCursors());
  assert.deepEqual(await cursors.at(0, 3), { offset: 3, epoch: 1, nonce: 'a', index: 0 });
  assert.deepEqual(await cursors.at(0, 0), SHARD_START);
});
