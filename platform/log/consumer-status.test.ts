import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { ManualClock } from '@millrace/kernel/testing';
import { ConsumerGroup } from './consumer.ts';
import type { EventLog } from './event-log.ts';
import { openLmdbLog } from './lmdb-log.ts';
import type { Projection } from './projection.ts';
import { appendTo } from './testing/index.ts';

/** A table that has no rows, only offsets. */
class Offsets implements Projection {
  readonly name = 'table';
  stored = new Map<number, number>();
  isAvailable = true;

  async offsets(): Promise<ReadonlyMap<number, number>> {
    if (!this.isAvailable) throw new Error('connect ECONNREFUSED');
    return new Map(this.stored);
  }

  async apply(_batches: unknown, read: Parameters<Projection['apply']>[1]): Promise<void> {
    for (const { partition, next } of read) this.stored.set(partition, next);
  }
}

const counted = (zone: string, firstSeq: number) => ({
  zone,
  epoch: 0,
  firstSeq,
  version: 1,
  time: 1,
  events: [{ type: 'Counted' }],
  metas: null,
});

describe('the status of a consumer group', () => {
  let folder: string;
  let log: EventLog;
  let clock: ManualClock;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-consumer-'));
    log = openLmdbLog(folder);
    clock = new ManualClock();
  });
  afterEach(async () => {
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Advances the clock until a condition holds. */
  async function passing(isSo: () => boolean): Promise<void> {
    for (const deadline = performance.now() + 10_000; !isSo(); ) {
      assert.ok(performance.now() < deadline, 'in time');
      await clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  test('until its store can be read, the lag counts from the offsets in the log; a failure ends with its cause, also without new events', async () => {
    const table = new Offsets();
    await appendTo(log, [counted('zone/a', 1), counted('zone/b', 1)]);
    const first = new ConsumerGroup(log, table, clock);
    void first.start();
    await passing(() => first.stats().applied === 2);
    await first.stop();
    await appendTo(log, [counted('zone/a', 2)]);
    table.isAvailable = false;
    const consumer = new ConsumerGroup(log, table, clock);
    void consumer.start();
    await passing(() => consumer.stats().failure !== null);
    assert.deepEqual([consumer.stats().lag, consumer.stats().failure], [1, 'connect ECONNREFUSED']);
    for (const [partition, { end }] of log.stats().partitions.entries()) table.stored.set(partition, end);
    table.isAvailable = true;
    await passing(() => consumer.stats().failure === null);
    assert.deepEqual([consumer.stats().lag, consumer.stats().applied], [0, 0]);
    await consumer.stop();
  });

  test('a failure to save offsets in the log is over when they are saved', async (context) => {
    const note = log.consumers.note.bind(log.consumers);
    let isFull = false;
    context.mock.method(log.consumers, 'note', async (...given: Parameters<typeof note>) => {
      if (isFull) throw new Error('no space left on device');
      return note(...given);
    });
    const consumer = new ConsumerGroup(log, new Offsets(), clock);
    void consumer.start();
    await passing(() => consumer.stats().offsets.length > 0);
    isFull = true;
    await passing(() => consumer.stats().failure === 'no space left on device');
    isFull = false;
    await passing(() => consumer.stats().failure === null);
    await consumer.stop();
  });

  test('a partition that cannot be read does not hold up the others', async (context) => {
    const table = new Offsets();
    await appendTo(log, [counted('zone/a', 1), counted('zone/b', 1)]);
    const unreadable = log.shardOf('zone/a');
    assert.notEqual(unreadable, log.shardOf('zone/b'));
    const readFrom = log.readFrom.bind(log);
    let isSilent = true;
    context.mock.method(log, 'readFrom', async (...read: Parameters<typeof readFrom>) => {
      if (isSilent && read[0] === unreadable) throw new Error('the leader does not respond');
      return readFrom(...read);
    });
    const consumer = new ConsumerGroup(log, table, clock);
    void consumer.start();
    await passing(() => table.stored.get(log.shardOf('zone/b')) === 1);
    await passing(() => /does not respond/.test(consumer.stats().failure ?? ''));
    isSilent = false;
    await passing(() => consumer.stats().lag === 0 && consumer.stats().failure === null);
    await consumer.stop();
  });

  test('who waits until it is caught up waits also while the log cannot be read', async (context) => {
    const table = new Offsets();
    await appendTo(log, [counted('zone/a', 1)]);
    const consumer = new ConsumerGroup(log, table, clock);
    void consumer.start();
    await passing(() => consumer.stats().applied === 1);
    const ends = log.ends.bind(log);
    let isSilent = true;
    context.mock.method(log, 'ends', async () => {
      if (isSilent) throw new Error('the leader does not respond');
      return ends();
    });
    let isCaughtUp = false;
    const waiting = consumer.caughtUp().then(() => {
      isCaughtUp = true;
    });
    await clock.advance(2_000);
    assert.equal(isCaughtUp, false);
    isSilent = false;
    await passing(() => isCaughtUp);
    await Promise.all([waiting, consumer.stop()]);
  });
});
