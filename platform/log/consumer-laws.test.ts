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
import type { EventLog } from './event-log.ts';
import { openLmdbLog } from './lmdb-log.ts';
import { partitionIndex } from './partitions.ts';
import type { Projection } from './projection.ts';
import { repairLog } from './repair.ts';
import { appendTo } from './testing/index.ts';

const ZONE = 'zone/a';
const PARTITION = partitionIndex(ZONE);

/** A table that stores its offsets together with its rows. */
class Table implements Projection {
  readonly name = 'table';
  readonly rows: number[] = [];
  readonly stored = new Map<number, number>();

  async offsets(): Promise<ReadonlyMap<number, number>> {
    return new Map(this.stored);
  }

  async apply(batches: readonly EventBatch[], read: readonly ReadRange[]): Promise<void> {
    requireOffsets(this.name, this.stored, read);
    for (const { firstSeq, events } of batches) this.rows.push(...events.map((_event, index) => firstSeq + index));
    for (const { partition, next } of read) this.stored.set(partition, next);
  }
}

const batchOf = (seq: number, text = ''): EventBatch => ({
  zone: ZONE,
  epoch: 0,
  firstSeq: seq,
  version: 1,
  time: 1,
  events: [{ type: 'Counted', text } as { type: string }],
  metas: null,
});

describe('a consumer group reads each event once, or names what it did not read', () => {
  let folder: string;
  let log: EventLog;
  let table: Table;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-consumer-laws-'));
    log = openLmdbLog(join(folder, 'log'));
    table = new Table();
  });
  afterEach(async () => {
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('a table that was ahead of a restored log is not continued when the log has grown past it', async () => {
    table.stored.set(PARTITION, 5);
    for (let seq = 1; seq <= 3; seq++) await appendTo(log, [batchOf(seq)]);
    const failing = new ConsumerGroup(log, table, systemClock);
    void failing.start();
    await until(() => failing.stats().failure !== null, 'the failure');
    await failing.stop();
    for (let seq = 4; seq <= 10; seq++) await appendTo(log, [batchOf(seq)]);
    const message = /up to offset 4, but the log ends at 2: it is older than the store/;
    const consumer = new ConsumerGroup(log, table, systemClock);
    void consumer.start();
    await until(() => consumer.stats().failure !== null, 'the failure after a restart');
    assert.match(consumer.stats().failure ?? '', message);
    assert.deepEqual(table.rows, []);
    // The remedy: without offsets and rows, the group reads the log from its start.
    table.stored.clear();
    await until(() => table.rows.length === 10, 'all events');
    await consumer.stop();
    assert.deepEqual((await log.consumers.find('table'))?.beyondEnd, []);
    assert.deepEqual(
      table.rows,
      Array.from({ length: 10 }, (_none, index) => index + 1),
    );
  });

  test('events at the end of the log that a repair could not read are named at once, not with the next event', async () => {
    for (let seq = 1; seq <= 3; seq++) await appendTo(log, [batchOf(seq)]);
    // The only trace of the newest events.
    await log.consumers.note(
      'other',
      log.stats().partitions.map((_range, partition) => (partition === PARTITION ? 7 : 0)),
    );
    await log.close();
    await repairLog(join(folder, 'log'), join(folder, 'repaired'), { snapshots: [], spools: [], zones: [] });
    log = openLmdbLog(join(folder, 'repaired'));
    const consumer = new ConsumerGroup(log, table, systemClock);
    await consumer.start();
    await until(() => consumer.stats().overtaken.length > 0, 'the gap');
    assert.deepEqual(
      consumer.stats().overtaken.map(({ partition, from, to }) => [partition, from, to]),
      [[PARTITION, 3, 7]],
    );
    await consumer.skipDropped();
    await appendTo(log, [batchOf(4)]);
    await consumer.caughtUp();
    await consumer.stop();
    assert.deepEqual(table.rows, [1, 2, 3, 4]);
  });

  test('two replays of a dead letter at the same time write its rows once', async () => {
    await appendTo(log, [batchOf(1)]);
    await log.deadLetters.put(
      { group: 'table', partition: PARTITION, offset: 0, zone: ZONE, seq: 1, reason: 'it is poison', createdAt: 1 },
      batchOf(1),
    );
    const consumer = new ConsumerGroup(log, table, systemClock);
    assert.deepEqual(await Promise.all([consumer.replay(1), consumer.replay(1)]), [true, true]);
    assert.deepEqual(table.rows, [1]);
    assert.equal(await consumer.replay(1), false);
  });
});
