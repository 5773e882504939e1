import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { OffsetsChanged } from '@millrace/base/offsets';
import type { EventBatch } from '@millrace/kernel';
import { type EventLog, OffsetOutOfRange } from './event-log.ts';
import { appendTo } from './testing/index.ts';
import { seqsOf } from './testing/journal-contract.ts';

/** Opens a log under test, also again after a stop. */
export interface LogUnderTest {
  open(): Promise<EventLog>;
  /** Removes everything. */
  clean(): Promise<void>;
}

const batch = (zone: string, epoch: number, firstSeq: number, count: number, time = 1_000): EventBatch => ({
  zone,
  epoch,
  firstSeq,
  version: 1,
  time,
  events: Array.from({ length: count }, (_none, index) => ({ type: 'Counted', number: firstSeq + index })),
  metas: null,
});

/** The contract of every event log. */
export function eventLogContract(name: string, under: LogUnderTest): void {
  describe(`${name} as an event log`, () => {
    let log: EventLog;
    beforeEach(async () => {
      log = await under.open();
    });
    afterEach(async () => {
      await log.close();
      await under.clean();
    });
    const reopen = async () => {
      await log.close();
      log = await under.open();
    };

    test('gives consumers every partition once, in order, with contiguous offsets', async () => {
      const zones = ['zone/a', 'zone/b', 'zone/c', 'zone/d', 'zone/e', 'zone/f'];
      for (let seq = 1; seq <= 20; seq += 2)
        await appendTo(
          log,
          zones.map((zone) => batch(zone, 0, seq, 2)),
        );
      const found = new Map<string, number>();
      for (let partition = 0; partition < log.partitions; partition++) {
        let offset = 0;
        for (;;) {
          const { batches: read, next } = await log.readFrom(partition, offset, 7);
          if (next === offset) break;
          for (const logged of read) {
            assert.equal(logged.offset, offset);
            assert.equal(logged.batch.firstSeq, (found.get(logged.batch.zone) ?? 0) + 1);
            found.set(logged.batch.zone, logged.batch.firstSeq + logged.batch.events.length - 1);
            offset = logged.next;
          }
        }
        assert.equal(offset, log.stats().partitions[partition]?.end);
      }
      assert.deepEqual(
        [...found.values()],
        zones.map(() => 20),
      );
    });

    test('notifies its listeners of each append', async () => {
      let notified = 0;
      const stop = log.onAppended(() => notified++);
      await appendTo(log, [batch('zone/a', 0, 1, 1)]);
      stop();
      await appendTo(log, [batch('zone/a', 0, 2, 1)]);
      assert.equal(notified, 1);
    });

    test('drops old events that all groups have read, and no others', async () => {
      for (let seq = 1; seq <= 10; seq++) await appendTo(log, [batch('zone/a', 0, seq, 1, seq * 1_000)]);
      const rule = { olderThanMs: 5_000, bytesMax: Number.MAX_SAFE_INTEGER };
      const readUpTo = (offset: number) => Array.from({ length: log.partitions }, () => offset);
      await log.consumers.note('fast', readUpTo(100));
      await log.consumers.note('slow', readUpTo(3));
      assert.equal(await log.retain(rule, 11_000), 3);
      assert.deepEqual(await seqsOf(log, 'zone/a'), [4, 5, 6, 7, 8, 9, 10]);
      await log.consumers.note('slow', readUpTo(100));
      assert.equal(await log.retain(rule, 11_000), 2);
      assert.deepEqual(await seqsOf(log, 'zone/a'), [6, 7, 8, 9, 10]);
      await appendTo(log, [batch('zone/a', 0, 11, 1)]);
    });

    test('does not block other work while it looks for events to drop, or drops many', async () => {
      for (let seq = 1; seq <= 1_500; seq++) await appendTo(log, [batch('zone/a', 0, seq, 1, seq < 1_500 ? 1e15 : 1_000)]);
      await appendTo(log, [batch('zone/a', 0, 1_501, 1, 2_000)]);
      let turns = 0;
      let timer = setImmediate(function count() {
        turns++;
        timer = setImmediate(count);
      });
      assert.equal(await log.retain({ olderThanMs: 1_000, bytesMax: Number.MAX_SAFE_INTEGER }, 2_000), 0);
      const { partitions } = log.stats();
      const records = Math.max(...partitions.map(({ start, end }) => end - start));
      clearImmediate(timer);
      assert.equal(records, 1_501);
      assert.ok(turns >= 5, `${turns} turns of the event loop`);
      assert.equal(await log.retain({ olderThanMs: 0, bytesMax: Number.MAX_SAFE_INTEGER }, 2_000), 1_500);
    });

    test('drops events that were dated in the future by a wrong clock, once the events after them are old enough', async () => {
      const timeOf = (seq: number) => (seq > 100 && seq <= 500 ? 1e15 : seq);
      for (let seq = 1; seq <= 600; seq++) await appendTo(log, [batch('zone/a', 0, seq, 1, timeOf(seq))]);
      const rule = { olderThanMs: 0, bytesMax: Number.MAX_SAFE_INTEGER };
      assert.equal(await log.retain(rule, 501), 100);
      assert.equal(await log.retain(rule, 502), 401);
      assert.equal(await log.retain(rule, 1e6), 98);
      assert.deepEqual(await seqsOf(log, 'zone/a'), [600]);
    });

    test('keeps old events that no snapshot covers, and drops them above its maximum size', async () => {
      for (let seq = 1; seq <= 10; seq++) await appendTo(log, [batch('zone/a', 0, seq, 1, seq)]);
      const asked: string[] = [];
      const covered = (upTo: number) => async (zone: string, seq: number) => {
        asked.push(zone);
        return seq <= upTo;
      };
      const rule = { olderThanMs: 0, bytesMax: Number.MAX_SAFE_INTEGER };
      assert.equal(await log.retain({ ...rule, isCovered: covered(4) }, 1e6), 4);
      assert.deepEqual(await seqsOf(log, 'zone/a'), [5, 6, 7, 8, 9, 10]);
      assert.ok(asked.every((zone) => zone === 'zone/a'));
      assert.equal(await log.retain({ ...rule, isCovered: covered(4) }, 1e6), 0);
      assert.equal(await log.retain({ ...rule, bytesMax: 0, isCovered: covered(4) }, 1e6), 5);
    });

    test('drops the oldest events above its maximum size, and keeps the newest', async () => {
      for (let seq = 1; seq <= 2_000; seq++) await appendTo(log, [batch('zone/a', 0, seq, 1)]);
      await log.consumers.note('reader', []);
      const dropped = await log.retain({ olderThanMs: 1e12, bytesMax: 4 * 32_768 }, 2_000);
      assert.ok(dropped > 0);
      assert.equal((await seqsOf(log, 'zone/a')).at(-1), 2_000);
    });

    test('fault 11: a reader gets events from its offset on without a gap, or an error with the start of the log', async () => {
      for (let seq = 1; seq <= 2_000; seq++) await appendTo(log, [batch('zone/a', 0, seq, 1)]);
      await log.retain({ olderThanMs: 1e12, bytesMax: 4 * 32_768 }, 2_000);
      const partition = log.stats().partitions.findIndex(({ end }) => end === 2_000);
      const { start, end } = log.stats().partitions[partition] ?? { start: 0, end: 0 };
      assert.ok(start > 0);
      for (const offset of [0, 1, start - 1])
        await assert.rejects(
          log.readFrom(partition, offset, 10),
          (error) => error instanceof OffsetOutOfRange && error.start === start && error.offset === offset,
        );
      assert.equal((await log.readFrom(partition, start, 10)).batches[0]?.offset, start);
      assert.deepEqual(await log.readFrom(partition, end, 10), { batches: [], next: end });
      assert.equal((await log.ends())[partition], end);
    });

    test('fault 12: events that a registered group has not read are not dropped by age, whether the group runs or not', async () => {
      for (let seq = 1; seq <= 10; seq++) await appendTo(log, [batch('zone/a', 0, seq, 1, seq)]);
      await log.consumers.note('stopped', []);
      await log.consumers.note('running', Array(log.partitions).fill(10));
      const rule = { olderThanMs: 0, bytesMax: Number.MAX_SAFE_INTEGER };
      assert.equal(await log.retain(rule, 1e6), 0);
      await reopen();
      assert.equal(await log.retain(rule, 1e6), 0);
      await log.consumers.remove('stopped');
      assert.equal(await log.retain(rule, 1e6), 9);
    });

    test('stores the gaps that a group has skipped', async () => {
      const gap = { partition: 1, from: 3, to: 9, at: 5 };
      await log.consumers.recordGap('g', gap);
      await log.consumers.note('g', [1, 9]);
      await reopen();
      assert.deepEqual(await log.consumers.find('g'), { group: 'g', offsets: [1, 9], gaps: [gap], beyondEnd: [] });
      assert.equal(await log.consumers.find('other'), undefined);
    });

    test('moves the offsets of a group that has no other store, if they are the expected ones', async () => {
      const advance = (...read: { partition: number; from: number; next: number }[]) => log.consumers.advance('g', read, [4, 5]);
      await assert.rejects(advance({ partition: 0, from: 0, next: 7 }), OffsetsChanged);
      await log.consumers.note('g', []);
      await advance({ partition: 0, from: 4, next: 7 });
      await assert.rejects(advance({ partition: 1, from: 5, next: 6 }, { partition: 0, from: 4, next: 8 }), OffsetsChanged);
      const results = await Promise.allSettled([8, 9].map((next) => advance({ partition: 1, from: 5, next })));
      assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
      await reopen();
      const [first, second] = (await log.consumers.find('g'))?.offsets ?? [];
      assert.equal(first, 7);
      assert.equal(second, results[0]?.status === 'fulfilled' ? 8 : 9);
    });

    test('does not take a dead letter of another zone or group for a removed one whose id it has', async () => {
      const deadLetter = { group: 'g', partition: 0, offset: 5, zone: 'zone/a', seq: 7, reason: 'no price', createdAt: 1 };
      for (const other of [{ zone: 'zone/b' }, { group: 'other' }]) {
        await log.deadLetters.put(deadLetter, batch('zone/a', 1, 7, 1));
        await log.deadLetters.remove(1);
        const next = { ...deadLetter, ...other };
        await log.deadLetters.put(next, batch(next.zone, 1, 7, 1));
        assert.equal((await log.deadLetters.list())[0]?.id, 1);
        assert.equal(await log.deadLetters.has('g', 'zone/a', 7), false);
        assert.equal(await log.deadLetters.has(next.group, next.zone, 7), true);
        await log.deadLetters.remove(1);
      }
    });

    test('stores dead letters with their reason until they are removed', async () => {
      const deadLetter = { group: 'g', partition: 0, offset: 5, zone: 'zone/a', seq: 1, reason: 'no price', createdAt: 1 };
      await log.deadLetters.put(deadLetter, batch('zone/a', 1, 1, 1));
      await log.deadLetters.put({ ...deadLetter, group: 'other' }, batch('zone/a', 1, 2, 1));
      await reopen();
      assert.deepEqual(await log.deadLetters.list('g'), [{ id: 1, ...deadLetter }]);
      assert.equal((await log.deadLetters.list()).length, 2);
      assert.equal(await log.deadLetters.count(), 2);
      assert.equal((await log.deadLetters.open(1))?.batch.firstSeq, 1);
      await log.deadLetters.replace(1, batch('zone/a', 1, 1, 3));
      assert.equal((await log.deadLetters.open(1))?.batch.events.length, 3);
      assert.equal((await log.deadLetters.open(1))?.deadLetter.reason, 'no price');
      const waits = async () => [
        await log.deadLetters.has('g', 'zone/a', 1),
        await log.deadLetters.has('g', 'zone/a', 2),
        await log.deadLetters.has('third', 'zone/a', 1),
      ];
      assert.deepEqual(await waits(), [true, false, false]);
      await log.deadLetters.remove(1);
      assert.equal(await log.deadLetters.open(1), undefined);
      assert.deepEqual(await waits(), [false, false, false]);
      assert.deepEqual(
        [
          await log.deadLetters.wasPut('g', 'zone/a', 1),
          await log.deadLetters.wasPut('g', 'zone/a', 9),
          await log.deadLetters.wasPut('elsewhere', 'zone/a', 1),
        ],
        [true, false, false],
        'it is remembered that it was put',
      );
    });
  });
}
