import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { ManualClock } from '@millrace/kernel/testing';
import { ConsumerGroup } from './consumer.ts';
import type { EventLog } from './event-log.ts';
import { openLmdbLog } from './lmdb-log.ts';
import { lagOf } from './offsets.ts';
import type { Projection } from './projection.ts';
import { appendTo } from './testing/index.ts';

const counted = (zone: string, firstSeq: number) => ({
  ...{ zone, epoch: 0, firstSeq, version: 1, time: 1, metas: null },
  events: [{ type: 'Counted' }],
});

/** What brokers tell of the end of the partition of `zone/a`; null: nothing. */
interface Brokers {
  end: number | null;
  /** By those that most brokers know as the leaders. */
  confirmed: number | null;
}

describe('a consumer group of a log whose brokers do not tell its ends, or old ones', () => {
  let folder: string;
  let log: EventLog;
  let clock: ManualClock;
  const brokers: Brokers = { end: null, confirmed: null };
  const stored = new Map<number, number>();
  const table: Projection = {
    name: 'table',
    offsets: async () => new Map(stored),
    apply: async (_batches, read) => {
      for (const { partition, next } of read) stored.set(partition, next);
    },
  };
  const [a, b] = [() => log.shardOf('zone/a'), () => log.shardOf('zone/b')];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-ends-'));
    log = openLmdbLog(folder);
    clock = new ManualClock();
    stored.clear();
    for (const seq of [1, 2, 3]) await appendTo(log, [counted('zone/a', seq), counted('zone/b', seq)]);
    assert.notEqual(a(), b());
    const known = async (end: number | null) => log.stats().partitions.map((one, partition) => (partition === a() ? end : one.end));
    log.ends = () => known(brokers.end);
    log.confirmedEnds = () => known(brokers.confirmed);
  });
  afterEach(async () => {
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Starts the group, which has read two of three events of `zone/a`. */
  function started() {
    stored.set(a(), 2);
    const group = new ConsumerGroup(log, table, clock);
    void group.start();
    return group;
  }

  async function passing(isSo: () => boolean): Promise<void> {
    for (const deadline = performance.now() + 10_000; !isSo(); ) {
      assert.ok(performance.now() < deadline, 'in time');
      await clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const beyondEnd = async () => (await log.consumers.find('table'))?.beyondEnd;

  test('reads the partitions whose ends are known, and shows that others are not, until they are', async () => {
    Object.assign(brokers, { end: null, confirmed: null });
    const group = started();
    await passing(() => stored.get(b()) === 3);
    assert.match(group.stats().failure ?? '', new RegExp(`the end of partition ${a()} is not known.* the store of table`));
    await clock.advance(10_000);
    assert.equal(stored.get(a()), 2, 'the store may be ahead of it');
    Object.assign(brokers, { end: 3 });
    await passing(() => stored.get(a()) === 3 && group.stats().failure === null);
    await group.stop();
  });

  test('reads a partition that it has read nothing of', async () => {
    Object.assign(brokers, { end: null, confirmed: null });
    stored.delete(a());
    const group = new ConsumerGroup(log, table, clock);
    void group.start();
    await passing(() => stored.get(a()) === 3);
    assert.equal(group.stats().failure, null);
    await group.stop();
  });

  test('is not stopped by a partition whose leader does not respond meanwhile', async () => {
    Object.assign(brokers, { end: 3, confirmed: null });
    const group = started();
    await passing(() => stored.get(a()) === 3);
    Object.assign(brokers, { end: null });
    await clock.advance(5_000);
    await appendTo(log, [counted('zone/a', 4)]);
    await passing(() => stored.get(a()) === 4);
    await group.stop();
  });

  test('goes on when the end that was told is that of a broker which was replaced', async () => {
    Object.assign(brokers, { end: 1, confirmed: 3 });
    const group = started();
    await passing(() => stored.get(a()) === 3);
    assert.deepEqual([group.stats().failure, await beyondEnd()], [null, []]);
    await group.stop();
  });

  test('does not read a partition, and records nothing, while it cannot be confirmed that it ends before the offset of the group', async () => {
    Object.assign(brokers, { end: 1, confirmed: null });
    const group = started();
    await passing(() => stored.get(b()) === 3);
    await clock.advance(10_000);
    assert.match(group.stats().failure ?? '', /is not known/);
    assert.deepEqual([stored.get(a()), await beyondEnd()], [2, []]);
    Object.assign(brokers, { confirmed: 3 });
    await passing(() => stored.get(a()) === 3 && group.stats().failure === null);
    await group.stop();
  });

  test('stops when it is confirmed that its store is ahead, also when the log has grown since, and in a later process', async () => {
    Object.assign(brokers, { end: 1, confirmed: 1 });
    const first = started();
    await passing(() => /is older than the store/.test(first.stats().failure ?? ''));
    await first.stop();
    assert.equal((await beyondEnd())?.[a()], 1);
    Object.assign(brokers, { end: 3, confirmed: 3 });
    const later = started();
    await passing(() => /is older than the store/.test(later.stats().failure ?? ''));
    Object.assign(brokers, { end: null, confirmed: null });
    await clock.advance(10_000);
    assert.match(later.stats().failure ?? '', /is older than the store/);
    assert.equal(stored.get(a()), 2);
    await later.stop();
  });
});

test('the lag is that of the partitions whose ends are known', () => {
  const partitions = [
    { start: 0, end: 0 },
    { start: 0, end: 5 },
  ];
  assert.equal(lagOf({ stats: () => ({ partitions, bytes: 0 }) }, [7, 3]), 2);
});
