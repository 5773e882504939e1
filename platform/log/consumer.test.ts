import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import { type ReadRange, requireOffsets } from '@millrace/base/offsets';
import type { EventBatch } from '@millrace/kernel';
import { ManualClock } from '@millrace/kernel/testing';
import { until } from '../testing/until.ts';
import { ConsumerGroup } from './consumer.ts';
import type { EventLog } from './event-log.ts';
import { openLmdbLog } from './lmdb-log.ts';
import { CannotApply, type Projection } from './projection.ts';
import { appendTo } from './testing/index.ts';

/** A table in memory that stores its offsets together with its rows, like a real one in a transaction. */
class Table implements Projection {
  readonly name = 'table';
  rows: string[] = [];
  stored = new Map<number, number>();
  /** Errors of the next calls of `apply`, one each. */
  failures: Error[] = [];
  poison: string | null = null;

  async offsets(): Promise<ReadonlyMap<number, number>> {
    return new Map(this.stored);
  }

  async apply(batches: readonly EventBatch[], read: readonly ReadRange[]): Promise<void> {
    const failure = this.failures.shift();
    if (failure) throw failure;
    requireOffsets(this.name, this.stored, read);
    const bad = batches.find(({ zone }) => zone === this.poison);
    if (bad) throw new CannotApply(bad, 'it is poison');
    for (const { zone, firstSeq, events } of batches) for (const [index] of events.entries()) this.rows.push(`${zone} ${firstSeq + index}`);
    for (const { partition, next } of read) this.stored.set(partition, next);
  }
}

const one = (zone: string, seq: number): EventBatch => ({
  zone,
  epoch: 0,
  firstSeq: seq,
  version: 1,
  time: 1,
  events: [{ type: 'Counted' }],
  metas: null,
});

/** Advances the clock until a condition holds. */
async function passing(clock: ManualClock, isSo: () => boolean, work?: Promise<unknown>): Promise<void> {
  let isDone = work === undefined;
  void work?.then(() => {
    isDone = true;
  });
  for (const deadline = performance.now() + 10_000; !isSo() || !isDone; ) {
    assert.ok(performance.now() < deadline, 'in time');
    await clock.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const caughtUp = (clock: ManualClock, consumer: ConsumerGroup) => passing(clock, () => true, consumer.caughtUp());

describe('a consumer group', () => {
  let folder: string;
  let log: EventLog;
  let table: Table;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-consumer-'));
    log = openLmdbLog(folder);
    table = new Table();
  });
  afterEach(async () => {
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('applies existing and new events, and reports its lag', async () => {
    await appendTo(log, [one('zone/a', 1), one('zone/b', 1)]);
    const consumer = new ConsumerGroup(log, table, systemClock);
    await consumer.start();
    await appendTo(log, [one('zone/a', 2)]);
    await consumer.caughtUp();
    assert.deepEqual(table.rows.sort(), ['zone/a 1', 'zone/a 2', 'zone/b 1']);
    assert.equal(consumer.stats().lag, 0);
    await consumer.stop();
    await appendTo(log, [one('zone/a', 3)]);
    assert.equal(consumer.stats().lag, 1);
  });

  test('resumes at the stored offset of its table, without repeats or gaps', async () => {
    const first = new ConsumerGroup(log, table, systemClock);
    await first.start();
    for (let seq = 1; seq <= 50; seq++) await appendTo(log, [one('zone/a', seq)]);
    await first.caughtUp();
    await first.stop();
    for (let seq = 51; seq <= 60; seq++) await appendTo(log, [one('zone/a', seq)]);
    const second = new ConsumerGroup(log, table, systemClock);
    await second.start();
    await second.caughtUp();
    await second.stop();
    assert.deepEqual(
      table.rows,
      Array.from({ length: 60 }, (_none, index) => `zone/a ${index + 1}`),
    );
  });

  test('skips events that it does not want, and does not read them again after a stop', async () => {
    const choosy = Object.assign(new Table(), { wants: (zone: string) => zone === 'zone/a' });
    const consumer = new ConsumerGroup(log, choosy, systemClock);
    await consumer.start();
    await appendTo(log, [one('zone/a', 1), one('zone/b', 1), one('zone/c', 1), one('zone/d', 1), one('zone/e', 1)]);
    await consumer.caughtUp();
    assert.deepEqual(choosy.rows, ['zone/a 1']);
    assert.equal(consumer.stats().lag, 0);
    await consumer.stop();
    const ends = log.stats().partitions.map(({ end }) => end);
    assert.deepEqual(
      ends.map((_end, partition) => choosy.stored.get(partition) ?? 0),
      ends,
    );
  });

  test('a dead letter that cannot be stored is tried again, and ends nothing', async (context) => {
    const clock = new ManualClock();
    const messages: string[] = [];
    const put = log.deadLetters.put.bind(log.deadLetters);
    const full = context.mock.method(log.deadLetters, 'put', async (...given: Parameters<typeof put>) => {
      if (full.mock.callCount() < 2) throw new Error('the log cannot be written: no space left on device');
      return put(...given);
    });
    table.poison = 'zone/poison';
    await appendTo(log, [one('zone/a', 1), one('zone/poison', 1), one('zone/poison', 2), one('zone/a', 2)]);
    const consumer = new ConsumerGroup(log, table, clock, (message) => messages.push(message));
    await consumer.start();
    await passing(clock, () => consumer.stats().deadLetters === 2);
    await caughtUp(clock, consumer);
    assert.deepEqual(table.rows, ['zone/a 1', 'zone/a 2']);
    assert.equal((await log.deadLetters.list('table')).length, 2);
    assert.equal(messages.filter((message) => /trying again in \d+ ms: the log cannot be written/.test(message)).length, 2);
    assert.equal(consumer.stats().failure, null);
    await consumer.stop();
  });

  test('reports no failure any more when its offsets can be stored and read again, although nothing happens', async (context) => {
    const clock = new ManualClock();
    const note = log.consumers.note.bind(log.consumers);
    let failure: string | null = 'the log cannot be written: no space left on device';
    context.mock.method(log.consumers, 'note', async (...given: Parameters<typeof note>) => {
      if (failure !== null) throw new Error(failure);
      return note(...given);
    });
    const consumer = new ConsumerGroup(log, table, clock);
    await consumer.start();
    await passing(clock, () => consumer.stats().failure === failure);
    failure = null;
    await passing(clock, () => consumer.stats().failure === null);
    const readFrom = log.readFrom.bind(log);
    const read = context.mock.method(log, 'readFrom', () => Promise.reject(new Error('the disk fails')));
    await passing(clock, () => consumer.stats().failure === 'the disk fails');
    read.mock.mockImplementation(readFrom);
    await passing(clock, () => consumer.stats().failure === null);
    await consumer.stop();
  });

  test('starts when its store can be read again, and can be stopped before', async () => {
    const clock = new ManualClock();
    const messages: string[] = [];
    const offsets = table.offsets.bind(table);
    table.offsets = async () => {
      throw new Error('connect ECONNREFUSED');
    };
    const consumer = new ConsumerGroup(log, table, clock, (message) => messages.push(message));
    const never = consumer.start();
    await clock.advance(1_000);
    assert.equal(consumer.stats().failure, 'connect ECONNREFUSED');
    // The wait for the next attempt ends at once.
    await consumer.stop();
    await never;
    let isStarted = false;
    const started = consumer.start().then(() => {
      isStarted = true;
    });
    await clock.advance(1_000);
    assert.equal(isStarted, false);
    table.offsets = offsets;
    await appendTo(log, [one('zone/a', 1)]);
    await passing(clock, () => table.rows.length === 1, started);
    await consumer.stop();
  });

  test('a group that is stopped before its store could be read keeps its offsets in the log, which retention uses', async () => {
    await appendTo(log, [one('zone/a', 1)]);
    const first = new ConsumerGroup(log, table, systemClock);
    await first.start();
    await first.caughtUp();
    await first.stop();
    const noted = await log.consumers.groups();
    assert.equal(noted[0]?.offsets.length, log.partitions);
    table.offsets = async () => {
      throw new Error('connect ECONNREFUSED');
    };
    const second = new ConsumerGroup(log, table, systemClock);
    const started = second.start();
    await second.stop();
    await started;
    assert.deepEqual(await log.consumers.groups(), noted);
  });

  test('a table that is ahead of the log, which was restored from an older backup, is not written', async () => {
    const clock = new ManualClock();
    await appendTo(log, [one('zone/a', 1), one('zone/a', 2)]);
    const partition = log.stats().partitions.findIndex(({ end }) => end > 0);
    table.stored.set(partition, 5);
    const consumer = new ConsumerGroup(log, table, clock);
    const started = consumer.start();
    for (let seq = 3; seq <= 4; seq++) await appendTo(log, [one('zone/a', seq)]);
    await clock.advance(10_000);
    assert.match(
      consumer.stats().failure ?? '',
      /table has partition \d+ up to offset 4, but the log ends at 1: it is older than the store\. Restore/,
    );
    assert.deepEqual(table.rows, []);
    await consumer.stop();
    await started;
  });

  for (const what of ['an older copy of it', 'an empty one'])
    test(`fault 42: a store in whose place is ${what} gets again what it lacks, with or without anything new`, async () => {
      const messages: string[] = [];
      const clock = new ManualClock();
      const consumer = new ConsumerGroup(log, table, clock, (message) => messages.push(message));
      await consumer.start();
      for (let seq = 1; seq <= 5; seq++) await appendTo(log, [one('zone/a', seq)]);
      await caughtUp(clock, consumer);
      const older = what === 'an empty one' ? { rows: [], stored: new Map() } : structuredClone({ rows: table.rows, stored: table.stored });
      for (let seq = 6; seq <= 9; seq++) await appendTo(log, [one('zone/a', seq)]);
      await caughtUp(clock, consumer);
      Object.assign(table, structuredClone(older));
      const rows = Array.from({ length: 9 }, (_none, index) => `zone/a ${index + 1}`);
      await passing(clock, () => table.rows.length === 9);
      assert.deepEqual(table.rows, rows, 'nothing new had to come');
      Object.assign(table, structuredClone(older));
      await appendTo(log, [one('zone/a', 10)]);
      await caughtUp(clock, consumer);
      assert.deepEqual(table.rows, [...rows, 'zone/a 10']);
      assert.match(messages[0] ?? '', /has lost partition \d+ from offset \d+ to \d+; it is read again/);
      assert.equal(consumer.stats().lag, 0);
      await passing(clock, () => true, consumer.stop());
    });

  test('fault 42: a write whose response was lost is not written again', async () => {
    const apply = table.apply.bind(table);
    let responses = 0;
    table.apply = async (batches, read) => {
      await apply(batches, read);
      if (++responses === 1) throw new Error('the connection was cut');
    };
    await appendTo(log, [one('zone/a', 1)]);
    const consumer = new ConsumerGroup(log, table, systemClock);
    await consumer.start();
    await consumer.caughtUp();
    await consumer.stop();
    assert.deepEqual(table.rows, ['zone/a 1']);
  });

  test('reports the reason of a failure, without the written data', async () => {
    table.failures = [new Error('Failed query: insert … params: a secret', { cause: new Error('it is unavailable') })];
    const messages: string[] = [];
    const reasonOf = (error: unknown) => String(((error as Error).cause as Error).message);
    const consumer = new ConsumerGroup(log, table, systemClock, (message) => messages.push(message), reasonOf);
    await appendTo(log, [one('zone/a', 1)]);
    await consumer.start();
    await consumer.caughtUp();
    await consumer.stop();
    assert.equal(messages.length, 1);
    assert.match(messages[0] ?? '', /: it is unavailable$/);
  });

  test('retries while its table cannot be written', async () => {
    table.failures = [new Error('the disk is full'), new Error('the disk is full')];
    const messages: string[] = [];
    const consumer = new ConsumerGroup(log, table, systemClock, (message) => messages.push(message));
    await appendTo(log, [one('zone/a', 1)]);
    await consumer.start();
    await consumer.caughtUp();
    await consumer.stop();
    assert.deepEqual(table.rows, ['zone/a 1']);
    assert.match(messages[0] ?? '', /the disk is full/);
    assert.equal(await log.deadLetters.count(), 0);
  });

  test('writes events that came while its table hung, once; until then retention does not drop them', async () => {
    let respond = () => {};
    const hung = new Promise<void>((resolve) => {
      respond = resolve;
    });
    const apply = table.apply.bind(table);
    table.apply = (batches, read) => hung.then(() => apply(batches, read));
    const group = new ConsumerGroup(log, table, systemClock);
    await group.start();
    await appendTo(log, [one('zone/a', 1)]);
    await appendTo(log, [one('zone/a', 2), one('zone/b', 1)]);
    assert.equal(await log.retain({ olderThanMs: 0, bytesMax: Number.MAX_SAFE_INTEGER }, Date.now() + 1_000), 0);
    assert.deepEqual(table.rows, []);
    respond();
    await group.caughtUp();
    assert.deepEqual(table.rows.sort(), ['zone/a 1', 'zone/a 2', 'zone/b 1']);
    await group.stop();
  });

  test('stores a batch that can never be applied as a dead letter, continues, and replays the repaired batch', async () => {
    table.poison = 'zone/bad';
    await appendTo(log, [one('zone/a', 1), one('zone/bad', 1), one('zone/b', 1)]);
    const consumer = new ConsumerGroup(log, table, systemClock);
    await consumer.start();
    await consumer.caughtUp();
    assert.deepEqual(table.rows.sort(), ['zone/a 1', 'zone/b 1']);
    const [deadLetter] = await log.deadLetters.list('table');
    assert.equal(deadLetter?.reason, 'it is poison');
    await assert.rejects(consumer.replay(deadLetter?.id ?? 0), /poison/);
    table.poison = null;
    assert.equal(await consumer.replay(deadLetter?.id ?? 0), true);
    assert.equal(await consumer.replay(deadLetter?.id ?? 0), false);
    assert.ok(table.rows.includes('zone/bad 1'));
    await consumer.stop();
  });

  describe('fault 11: when retention has dropped unread events', () => {
    /** 2,000 events, of which the group has read 8 when most are dropped. */
    async function overtaken(
      onOutOfRange?: 'skip',
      failures: Error[] = [],
    ): Promise<{ group: ConsumerGroup; messages: string[]; start: number }> {
      for (let seq = 1; seq <= 8; seq++) await appendTo(log, [one('zone/a', seq)]);
      const messages: string[] = [];
      const projection = onOutOfRange ? Object.assign(table, { onOutOfRange }) : table;
      const group = new ConsumerGroup(log, projection, systemClock, (message) => messages.push(message));
      await group.start();
      await group.caughtUp();
      await group.stop();
      for (let seq = 9; seq <= 2_000; seq++) await appendTo(log, [one('zone/a', seq)]);
      await log.retain({ olderThanMs: 1e12, bytesMax: 4 * 32_768 }, 1);
      const start = Math.max(...log.stats().partitions.map((partition) => partition.start));
      assert.ok(start > 8);
      table.failures.push(...failures);
      await group.start();
      return { group, messages, start };
    }
    test('stops, reports which events are missing, and reads no later ones', async () => {
      const { group, messages, start } = await overtaken();
      await until(() => group.stats().overtaken.length > 0, 'the group is overtaken');
      await appendTo(log, [one('zone/a', 2_001)]);
      const stats = group.stats();
      assert.deepEqual(
        stats.overtaken.map(({ from, to }) => [from, to]),
        [[8, start]],
      );
      assert.equal(table.rows.length, 8);
      assert.ok(stats.lag >= 1_992, String(stats.lag));
      assert.match(stats.failure ?? '', /retention has dropped/);
      assert.ok(messages.some((message) => message.includes(`8 to ${start - 1}`)));
      await group.stop();
    });

    test('continues when an operator skips them: records the gap, and reads all events after it', async () => {
      const { group, start } = await overtaken();
      await until(() => group.stats().overtaken.length > 0, 'the group is overtaken');
      assert.equal((await group.skipDropped()).length, 1);
      await group.caughtUp();
      assert.equal(table.rows.length, 8 + 2_000 - start);
      assert.deepEqual(
        group.stats().gaps.map(({ from, to }) => [from, to]),
        [[8, start]],
      );
      assert.deepEqual(group.stats().overtaken, []);
      assert.deepEqual(await group.skipDropped(), []);
      await group.stop();
    });

    test('continues by itself if its projection skips gaps, and records the gap', async () => {
      const { group, start } = await overtaken('skip');
      await group.caughtUp();
      assert.equal(table.rows.length, 8 + 2_000 - start);
      assert.equal(group.stats().gaps.length, 1);
      await group.stop();
    });

    test('repeats a skip that failed, and records the gap once', async () => {
      const { group, start } = await overtaken('skip', [new Error('the table is locked'), new Error('the table is locked')]);
      await group.caughtUp();
      assert.equal(table.rows.length, 8 + 2_000 - start);
      assert.deepEqual([group.stats().gaps.length, group.stats().failure], [1, null]);
      await group.stop();
    });
  });
});
