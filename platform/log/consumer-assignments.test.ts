import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import { type ReadRange, requireOffsets } from '@millrace/base/offsets';
import type { EventBatch } from '@millrace/kernel';
import { until } from '../testing/until.ts';
import { ConsumerGroup } from './consumer.ts';
import { OffsetOutOfRange } from './event-log.ts';
import { type LmdbLog, openLmdbLog } from './lmdb-log.ts';
import type { GroupMember, GroupMembership } from './membership.ts';
import { PARTITIONS, partitionIndex } from './partitions.ts';
import { CannotApply, type Projection } from './projection.ts';
import { appendTo } from './testing/index.ts';

const ZONES = Array.from({ length: 40 }, (_none, index) => `zone/${index}`);
const zoneIn = (partition: number) => ZONES.find((zone) => partitionIndex(zone) === partition) ?? '';

const counted = (partition: number, seq: number): EventBatch => ({
  ...{ zone: zoneIn(partition), epoch: 0, firstSeq: seq, version: 1, time: 1, metas: null },
  events: [{ type: 'Counted' }],
});

/** A store that several processes share. */
class Table implements Projection {
  readonly name = 'table';
  readonly isShared: boolean = true;
  readonly stored = new Map<number, number>();
  readonly calls: (readonly ReadRange[])[] = [];
  /** Called before a write. */
  before: (batches: readonly EventBatch[]) => Promise<void> = async () => {};

  async offsets(): Promise<ReadonlyMap<number, number>> {
    return new Map(this.stored);
  }

  async apply(batches: readonly EventBatch[], read: readonly ReadRange[]): Promise<void> {
    this.calls.push(read);
    await this.before(batches);
    requireOffsets(this.name, this.stored, read);
    for (const { partition, next } of read) this.stored.set(partition, next);
  }
}

describe('a consumer group that shares its partitions', () => {
  let folder: string;
  let log: LmdbLog & { membership?: GroupMembership };
  let table: Table;
  let group: ConsumerGroup;
  /** The member that has joined. */
  let member: GroupMember | null;
  let reloads: number;
  const theMember = () => {
    assert.ok(member);
    return member;
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-assignments-'));
    log = openLmdbLog(folder);
    [table, member, reloads] = [new Table(), null, 0];
    log.membership = {
      isShared: true,
      join: async (_group, joined) => {
        member = joined;
        await joined.assigned([0], 1);
        return { leave: () => joined.revoked([0, 1, 2, 3]) };
      },
    };
    Object.assign(log.deadLetters, { reload: () => reloads++ });
    group = new ConsumerGroup(log, table, systemClock);
  });
  afterEach(async () => {
    await group.stop();
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const applied = (partition: number) => table.calls.flat().filter((range) => range.partition === partition);

  test('reads its partitions only, counts their lag, and does not wait for those of others', async () => {
    await appendTo(log, [counted(0, 1), counted(1, 1)]);
    await group.start();
    assert.equal(reloads, 1);
    await group.caughtUp();
    assert.deepEqual([...table.stored], [[0, 1]]);
    const { lag, partitions } = group.stats();
    assert.deepEqual([lag, partitions], [0, [0]]);
    await theMember().assigned([1], 2);
    await group.caughtUp();
    assert.deepEqual([group.stats().partitions, table.stored.get(1), reloads], [[0, 1], 1, 2]);
    await group.stop();
    assert.deepEqual([group.stats().partitions, group.stats().lag], [[], 0]);
    // While it is paused, as the only process perhaps.
    await appendTo(log, [counted(0, 2), counted(1, 2)]);
    assert.equal(group.stats().lag, 2);
  });

  test('is not caught up while its lease has ended, and its lag grows', async () => {
    await group.start();
    theMember().failed(new Error('the database does not respond'));
    await theMember().revoked([0]);
    await appendTo(log, [counted(0, 1), counted(1, 1)]);
    assert.equal(group.stats().lag, 2);
    let isCaughtUp = false;
    const caughtUp = group.caughtUp().then(() => {
      isCaughtUp = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isCaughtUp, false);
    theMember().failed(null);
    await theMember().assigned([0], 2);
    await caughtUp;
    assert.deepEqual([table.stored.get(0), group.stats().lag, group.stats().failure], [1, 0, null]);
  });

  test('an operator can replay and skip while it is paused', async () => {
    await appendTo(log, [counted(0, 1), counted(1, 1)]);
    await group.start();
    await group.caughtUp();
    const place = { partition: 1, offset: 0, zone: zoneIn(1), seq: 1 };
    await log.deadLetters.put({ group: 'table', ...place, reason: 'a test', createdAt: 1 }, counted(1, 1));
    const [letter] = await log.deadLetters.list();
    assert.ok(letter);
    await assert.rejects(group.replay(letter.id), /does not read partition 1 of table now/);
    await group.stop();
    assert.equal(await group.replay(letter.id), true);
  });

  test('reads the stored offsets of a partition again when it gets it', async () => {
    for (const seq of [1, 2, 3]) await appendTo(log, [counted(1, seq)]);
    await group.start();
    await group.caughtUp();
    // Another process has read it.
    table.stored.set(1, 2);
    await theMember().assigned([1], 2);
    await group.caughtUp();
    assert.deepEqual(applied(1), [{ partition: 1, from: 2, next: 3 }]);
    await theMember().revoked([1]);
    table.stored.set(1, 1);
    await theMember().assigned([1], 3);
    await until(() => applied(1).length > 1, 'it is read again');
    assert.deepEqual(applied(1).slice(1), [{ partition: 1, from: 1, next: 3 }]);
    assert.equal(group.stats().failure, null);
  });

  test('a revocation waits for the write that runs, and nothing is begun after it', async () => {
    const [begun, may] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    table.before = async () => {
      begun.resolve();
      await may.promise;
    };
    await group.start();
    await appendTo(log, [counted(0, 1)]);
    await begun.promise;
    let isRevoked = false;
    const revoked = theMember()
      .revoked([0])
      .then(() => {
        isRevoked = true;
      });
    await appendTo(log, [counted(0, 2), counted(1, 1)]);
    await theMember().assigned([1], 2);
    assert.equal(isRevoked, false);
    may.resolve();
    await revoked;
    await until(() => table.stored.get(1) === 1, 'the other partition is read');
    assert.equal(table.stored.get(0), 1);
    assert.equal(applied(0).length, 1);
  });

  test('gives up what cannot be written, when its partition is revoked', async () => {
    await group.start();
    await theMember().assigned([1], 2);
    let isRefused = true;
    const refused = Promise.withResolvers<void>();
    table.before = async (batches) => {
      const bad = batches.find(({ zone }) => zone === zoneIn(0));
      if (!bad || !isRefused) return;
      isRefused = false;
      // The revocation comes between the failure and the next attempt.
      void theMember().revoked([0]);
      refused.resolve();
      throw new CannotApply(bad, 'it is poison');
    };
    await appendTo(log, [counted(0, 1), counted(1, 1)]);
    await refused.promise;
    await until(() => table.stored.get(1) === 1, 'the other partition is written');
    assert.deepEqual([table.stored.get(0), applied(0).length], [undefined, 1]);
  });

  test('a caller that waits for events of a partition does not wait for it any longer when it is revoked', async () => {
    table.before = async () => Promise.reject(new Error('the store is down'));
    await group.start();
    await appendTo(log, [counted(0, 1)]);
    await until(() => group.stats().failure !== null, 'a write has failed');
    const waiting = group.caughtUp();
    await theMember().revoked([0]);
    await waiting;
    assert.equal(table.stored.size, 0);
  });

  test('a dead letter of a partition of another process is not replayed', async () => {
    const letter = { group: 'table', offset: 0, seq: 1, reason: 'it is poison', createdAt: 1 };
    for (const partition of [0, 1]) await log.deadLetters.put({ ...letter, partition, zone: zoneIn(partition) }, counted(partition, 1));
    await group.start();
    assert.equal(await group.replay(1), true);
    await assert.rejects(group.replay(2), /does not read partition 1 of table now/);
    assert.equal(await log.deadLetters.count(), 1);
  });

  test('dropped events of a partition stop the group until the partition is revoked', async () => {
    const readFrom = log.readFrom.bind(log);
    log.readFrom = async (partition, offset, max) => {
      if (partition === 1 && offset < 5) throw new OffsetOutOfRange(1, offset, 5);
      return readFrom(partition, offset, max);
    };
    await group.start();
    await theMember().assigned([1], 2);
    await until(() => group.stats().overtaken.length === 1, 'the gap');
    await theMember().revoked([1]);
    await appendTo(log, [counted(0, 1)]);
    await group.caughtUp();
    const { overtaken, failure } = group.stats();
    assert.deepEqual([overtaken, failure, table.stored.get(0)], [[], null, 1]);
    assert.deepEqual(await group.skipDropped(), []);
  });

  test('dropped events are shown, and can be skipped, while the group is paused', async () => {
    log.readFrom = (partition, offset) => Promise.reject(new OffsetOutOfRange(partition, offset, 5));
    await group.start();
    await until(() => group.stats().overtaken.length === 1, 'the gap');
    await group.stop();
    assert.equal(group.stats().overtaken.length, 1);
    assert.deepEqual(
      (await group.skipDropped()).map(({ partition, from, to }) => [partition, from, to]),
      [[0, 0, 5]],
    );
    assert.equal(table.stored.get(0), 5);
  });

  test('a projection with a store of its own reads all partitions', async () => {
    const own = Object.assign(new Table(), { isShared: false });
    const alone = new ConsumerGroup(log, own, systemClock);
    await alone.start();
    for (let partition = 0; partition < PARTITIONS; partition++) await appendTo(log, [counted(partition, 1)]);
    await alone.caughtUp();
    await alone.stop();
    assert.deepEqual([...own.stored].sort(), [
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 1],
    ]);
    assert.equal(member, null);
  });
});
