import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import { type Database, offsetsOf, saveOffsets } from '@millrace/database';
import type { EventBatch } from '@millrace/kernel';
import { ConsumerGroup, type EventLog, LeasedMembership, openLmdbLog, type Projection } from '@millrace/log';
import { appendTo } from '@millrace/log/testing';
import { until } from '@millrace/testing';
import { sql } from 'drizzle-orm';
import { TableConsumers } from './table-consumers.ts';
import { TableDeadLetters } from './table-dead-letters.ts';
import { TableGroups } from './table-groups.ts';
import { describeOnEngines, type TablesUnderTest } from './table-tests.ts';

const GROUP = 'shared';
const ZONES = Array.from({ length: 12 }, (_none, index) => `zone/${index}`);

/** Writes each event as a row that may exist twice. */
function rowsProjection({ drizzle }: Database): Projection {
  return {
    name: GROUP,
    isShared: true,
    offsets: () => offsetsOf({ drizzle } as Database, GROUP),
    apply: (batches, read) =>
      drizzle.transaction(async (transaction) => {
        await saveOffsets(transaction, GROUP, read);
        for (const { zone, firstSeq } of batches)
          await transaction.execute(sql`insert into applied (zone, seq) values (${zone}, ${firstSeq})`);
      }),
  };
}

/** A process that shares the group. @param isCut whether its heartbeats are not sent any more */
function processOf(under: TablesUnderTest, log: EventLog, isCut: () => boolean = () => false): ConsumerGroup {
  const { database, topic } = under;
  const groups = new TableGroups(database, topic);
  const membership = new LeasedMembership({
    store: {
      beat: async (group, beat) => (isCut() ? Promise.reject(new Error('cut off')) : groups.beat(group, beat)),
      leave: async (group, member) => (isCut() ? Promise.reject(new Error('cut off')) : groups.leave(group, member)),
    },
    clock: systemClock,
    partitions: log.partitions,
    newMember: randomUUID,
  });
  const consumers = new TableConsumers(database, topic);
  const deadLetters = new TableDeadLetters(database, topic);
  // The methods of a log need its private fields.
  const own = new Proxy(log, {
    get: (of, name) => {
      const value = { membership, consumers, deadLetters }[name as string] ?? Reflect.get(of, name);
      return typeof value === 'function' ? value.bind(of) : value;
    },
  });
  return new ConsumerGroup(own, rowsProjection(database), systemClock);
}

describeOnEngines('processes that share a consumer group', (under) => {
  test('divide its partitions, take over those of a process that leaves or is cut off, and apply each event once and in order', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-shared-group-'));
    const log = openLmdbLog(folder);
    await under.database.drizzle.execute(sql`create table applied (id bigserial primary key, zone text, seq bigint)`);
    let isCut = false;
    const [first, second, third] = [processOf(under, log), processOf(under, log, () => isCut), processOf(under, log)] as const;
    const partitionsOf = (...groups: ConsumerGroup[]) => groups.map((group) => group.stats().partitions.length);
    let seq = 0;
    const append = async () => {
      seq++;
      const batches = ZONES.map(
        (zone): EventBatch => ({ zone, epoch: 0, firstSeq: seq, version: 1, time: 1, events: [{ type: 'Counted' }], metas: null }),
      );
      for (const batch of batches) await appendTo(log, [batch]);
    };
    await append();
    await first.start();
    assert.deepEqual(first.stats().partitions, [0, 1, 2, 3], 'the only process has all partitions when it has started');
    await second.start();
    await until(() => String(partitionsOf(first, second)) === '2,2', 'they share');
    await append();
    await third.start();
    await until(() => String(partitionsOf(first, second, third).sort()) === '1,1,2', 'they share with the third');
    await append();
    await first.stop();
    await until(() => String(partitionsOf(first, second, third)) === '0,2,2', 'the others have those of the first');
    await append();
    isCut = true;
    await until(() => String(partitionsOf(second, third)) === '0,4', 'the third has all');
    await append();
    await third.caughtUp();
    const { rows } = await under.database.drizzle.execute<{ zone: string; seqs: string[] }>(
      sql`select zone, array_agg(seq::text order by id) as seqs from applied group by zone order by zone`,
    );
    assert.equal(rows.length, ZONES.length);
    for (const { zone, seqs } of rows) assert.deepEqual(seqs, ['1', '2', '3', '4', '5'], zone);
    const ends = log.stats().partitions.map(({ end }) => end);
    await third.stop();
    assert.deepEqual((await new TableConsumers(under.database, under.topic).find(GROUP))?.offsets, ends);
    await second.stop();
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  });
});
