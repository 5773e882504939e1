import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { kafkaMissing, openTestKafka, type TestKafka } from '@millrace/kafka/testing';
import { MemorySnapshots } from '@millrace/kernel/testing';
import { ShardOfZones } from './shard-of-zones.ts';

const ZONES = 1_000;
const missing = await kafkaMissing();

describe('a shard of a thousand zones on three brokers', { skip: missing ?? false }, () => {
  let kafka: TestKafka;
  before(async () => {
    kafka = await openTestKafka();
  });
  after(() => kafka?.close());

  test('is taken over from standby copies with the same states as from snapshots and the log', async () => {
    const shard = new ShardOfZones(kafka, { name: 'thousand', zones: ZONES, cold: new MemorySnapshots() });
    try {
      const owner = await shard.newHost();
      await shard.open(owner);
      for (let cell = 0; cell < 3; cell++) await shard.round(owner, cell);
      await owner.host.snapshotAll('cold');
      await shard.round(owner, 3);
      const standby = await shard.newHost();
      await shard.standBy(standby);
      for (let cell = 4; cell < 7; cell++) await shard.round(owner, cell);
      const confirmed = shard.statesOf(owner) as { readonly seq: number }[];
      // Its last appends are in flight.
      for (const zone of shard.zones) owner.host.send(zone, { cell: 8, amount: 1 });
      await new Promise((resolve) => setImmediate(resolve));
      await owner.kill();
      await shard.open(standby);
      const taken = shard.statesOf(standby) as { readonly seq: number }[];
      for (const zone of shard.zones) assert.deepEqual(standby.sources.get(zone), ['standby', 'replay']);
      for (const [index, { seq }] of confirmed.entries()) assert.ok((taken[index]?.seq ?? 0) >= seq, 'everything confirmed is there');
      await standby.kill();
      const plain = await shard.newHost();
      await shard.open(plain);
      for (const zone of shard.zones) assert.deepEqual(plain.sources.get(zone), ['cold', 'replay']);
      assert.deepEqual(shard.statesOf(plain), taken);
      await plain.host.close();
    } finally {
      await shard.close();
    }
  });
});
