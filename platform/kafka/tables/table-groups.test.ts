import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StaleGeneration } from '@millrace/log';
import { testGroupStore } from '@millrace/log/testing';
import { TableConsumers } from './table-consumers.ts';
import { TableDeadLetters } from './table-dead-letters.ts';
import { TableGroups } from './table-groups.ts';
import { describeOnEngines } from './table-tests.ts';

const LEASE_MS = 3_600_000;

describeOnEngines('memberships of consumer groups in tables', (under) => {
  const groupsOf = (topic = under.topic) => new TableGroups(under.database, topic);
  const consumersOf = () => new TableConsumers(under.database, under.topic);
  testGroupStore(groupsOf);

  /** A member with all partitions, which has left; and the one that has them now. */
  async function replaced() {
    const beat = (member: string) => groupsOf().beat('g', { member, leaseMs: LEASE_MS, partitions: 2, released: [] });
    const before = new Map((await beat('zombie')).held.map(({ partition, generation }) => [partition, generation]));
    await groupsOf().leave('g', 'zombie');
    const now = new Map((await beat('owner')).held.map(({ partition, generation }) => [partition, generation]));
    return { before, now };
  }

  test('another topic has other members', async () => {
    const { now } = await replaced();
    assert.equal(now.size, 2);
    const other = await groupsOf('other').beat('g', { member: 'x', leaseMs: LEASE_MS, partitions: 2, released: [] });
    assert.deepEqual([other.generation, other.held.length], [1, 2]);
  });

  test('a former owner cannot note offsets, also those that it has noted before', async () => {
    const { before, now } = await replaced();
    const [zombie, owner] = [consumersOf(), consumersOf()];
    await owner.note('g', [5, 6], now);
    await assert.rejects(zombie.note('g', [1, 9], before), StaleGeneration);
    await assert.rejects(consumersOf().note('g', [5, 9], new Map([[1, 1]])), /partition 1 of consumer group g .* generation 1/);
    assert.deepEqual((await owner.find('g'))?.offsets, [5, 6]);
    // Its store may have lost its newest writes.
    await owner.note('g', [4, 6], now);
    assert.deepEqual((await owner.find('g'))?.offsets, [4, 6]);
  });

  test('a member notes the offsets of its partitions only, and those that are missing', async () => {
    const { now } = await replaced();
    const generation = now.get(0) ?? 0;
    await consumersOf().note('g', [], new Map());
    assert.deepEqual((await consumersOf().find('g'))?.offsets, []);
    const [a, b] = [consumersOf(), consumersOf()];
    await Promise.all([a.note('g', [7, 3], new Map([[0, generation]])), b.note('g', [3, 8], new Map([[1, generation]]))]);
    assert.deepEqual((await a.find('g'))?.offsets, [7, 8]);
    await a.note('g', [7, 3], new Map([[0, generation]]));
    await b.note('g', [3, 9, 4], new Map([[1, generation]]));
    assert.deepEqual((await a.find('g'))?.offsets, [7, 9, 4]);
  });

  test('offsets of a member are written again when another process has removed the group or changed them', async () => {
    const { now } = await replaced();
    const consumers = consumersOf();
    await consumers.note('g', [7, 7], now);
    await consumersOf().remove('g');
    assert.equal(await consumers.find('g'), undefined);
    await consumers.note('g', [7, 7], now);
    await consumersOf().note('g', [1, 7]);
    assert.deepEqual((await consumers.find('g'))?.offsets, [1, 7]);
    await consumers.note('g', [7, 7], now);
    assert.deepEqual((await consumers.find('g'))?.offsets, [7, 7]);
  });

  test('a group that is registered again continues its generations', async () => {
    const { now } = await replaced();
    await consumersOf().note('g', [1, 1], now);
    await consumersOf().remove('g');
    await groupsOf().leave('g', 'owner');
    const again = await groupsOf().beat('g', { member: 'next', leaseMs: LEASE_MS, partitions: 2, released: [] });
    assert.ok(again.generation > (now.get(0) ?? 0));
  });

  test('a former owner cannot put dead letters; the owner knows those that were put before, after a reload', async () => {
    const { before, now } = await replaced();
    const letter = { group: 'g', partition: 1, offset: 5, zone: 'zone/a', seq: 1, reason: 'no price', createdAt: 1 };
    const batch = (firstSeq: number) => ({
      ...{ zone: 'zone/a', epoch: 1, firstSeq, version: 1, time: 1, metas: null },
      events: [{ type: 'Counted' }],
    });
    const [former, owner] = [new TableDeadLetters(under.database, under.topic), new TableDeadLetters(under.database, under.topic)];
    assert.equal(await owner.wasPut('g', 'zone/a', 1), false);
    await former.put(letter, batch(1));
    owner.reload('g');
    assert.equal(await owner.wasPut('g', 'zone/a', 1), true);
    await assert.rejects(former.put({ ...letter, seq: 2 }, batch(2), before.get(1)), StaleGeneration);
    await owner.put({ ...letter, seq: 3 }, batch(3), now.get(1));
    assert.deepEqual(
      (await owner.list('g')).map(({ seq }) => seq),
      [1, 3],
    );
  });
});
