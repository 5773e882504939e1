import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { EventBatch } from '@millrace/kernel';
import { type EventLog, OffsetOutOfRange } from './event-log.ts';

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

async function seqsOf(log: EventLog, zone: string, afterSeq = 0, from: number | null = null): Promise<number[]> {
  const seqs: number[] = [];
  for await (const { firstSeq, events } of log.read(zone, afterSeq, from)) seqs.push(...events.map((_event, index) => firstSeq + index));
  return seqs;
}

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

    test('returns appended batches in order, also after it was opened again', async () => {
      const { epoch, lastSeq } = await log.claim('zone/a');
      assert.deepEqual([epoch, lastSeq], [1, 0]);
      await log.append([batch('zone/a', 1, 1, 3), batch('zone/a', 1, 4, 2)]);
      await log.append([batch('zone/a', 1, 6, 1)]);
      assert.deepEqual(await seqsOf(log, 'zone/a'), [1, 2, 3, 4, 5, 6]);
      await reopen();
      assert.deepEqual(await seqsOf(log, 'zone/a'), [1, 2, 3, 4, 5, 6]);
      assert.deepEqual(await log.claim('zone/a'), { epoch: 2, lastSeq: 6 });
    });

    test('stores events, metadata and lost ranges unchanged', async () => {
      await log.claim('zone/a');
      const events = [{ type: 'Told', text: '한글', list: [1.5, null, { deep: 'x' }] }];
      const withMetas: EventBatch = { ...batch('zone/a', 1, 1, 0), events, metas: [{ id: 'c1', correlation: 't1' }] };
      const checkpoint = { state: { count: 9 }, answered: [['c1', 1] as const] };
      const loss: EventBatch = { ...batch('zone/a', 1, 2, 0), loss: { lastSeq: 7, checkpoint } };
      await log.append([withMetas, loss, batch('zone/a', 1, 8, 1)]);
      const read: EventBatch[] = [];
      for await (const one of log.read('zone/a', 0, null)) read.push(one);
      assert.deepEqual(read[0]?.events, events);
      assert.deepEqual(read[0]?.metas, [{ id: 'c1', correlation: 't1' }]);
      assert.deepEqual(read[1]?.loss, { lastSeq: 7, checkpoint });
      assert.equal(read[2]?.firstSeq, 8);
    });

    test('ignores a repeat, and appends only the new part of an overlap', async () => {
      await log.claim('zone/a');
      await log.append([batch('zone/a', 1, 1, 3)]);
      const again = await log.append([batch('zone/a', 1, 1, 3), batch('zone/a', 1, 2, 4)]);
      assert.ok(again.every((outcome) => outcome !== 'stale'));
      assert.deepEqual(await seqsOf(log, 'zone/a'), [1, 2, 3, 4, 5]);
    });

    test('refuses a gap', async () => {
      await log.claim('zone/a');
      await log.append([batch('zone/a', 1, 1, 1)]);
      await assert.rejects(async () => log.append([batch('zone/a', 1, 3, 1)]), /needs seq 2 next, but the batch starts at seq 3/);
    });

    test('writes nothing of an append that fails, and all of it when it is retried', async () => {
      const zones = ['zone/a', 'zone/b', 'zone/c', 'zone/d', 'zone/e', 'zone/f'];
      const good = zones.map((zone) => batch(zone, 1, 1, 2));
      await assert.rejects(log.append([...good, batch('zone/a', 1, 9, 1)]), /needs seq 3 next/);
      for (const zone of zones) assert.deepEqual(await seqsOf(log, zone), []);
      await log.append(good);
      await reopen();
      for (const zone of zones) assert.deepEqual(await seqsOf(log, zone), [1, 2]);
    });

    test('fences: the owner of an older epoch is stale, also after the log was opened again', async () => {
      await log.claim('zone/a');
      await log.claim('zone/a');
      const [stale, other] = await log.append([batch('zone/a', 1, 1, 1), batch('zone/b', 1, 1, 1)]);
      assert.equal(stale, 'stale');
      assert.notEqual(other, 'stale');
      await reopen();
      assert.deepEqual(await log.append([batch('zone/a', 1, 1, 1)]), ['stale']);
      assert.deepEqual(await seqsOf(log, 'zone/a'), []);
    });

    test('reads a zone from any seq, from the position that an append returned', async () => {
      await log.claim('zone/a');
      let position: number | null = null;
      for (let seq = 1; seq <= 1_000; seq++) {
        const [outcome] = await log.append([batch('zone/a', 1, seq, 1), batch('zone/b', 1, seq, 1)]);
        if (seq === 900 && outcome && outcome !== 'stale') position = outcome.at;
      }
      assert.deepEqual(await seqsOf(log, 'zone/a', 995, position), [996, 997, 998, 999, 1_000]);
      assert.equal((await seqsOf(log, 'zone/a', 0)).length, 1_000);
    });

    test('gives consumers every partition once, in order, with contiguous offsets', async () => {
      const zones = ['zone/a', 'zone/b', 'zone/c', 'zone/d', 'zone/e', 'zone/f'];
      for (let seq = 1; seq <= 20; seq += 2) await log.append(zones.map((zone) => batch(zone, 0, seq, 2)));
      const found = new Map<string, number>();
      for (let partition = 0; partition < log.partitions; partition++) {
        let offset = 0;
        for (;;) {
          const read = await log.readFrom(partition, offset, 7);
          if (read.length === 0) break;
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
      await log.append([batch('zone/a', 0, 1, 1)]);
      stop();
      await log.append([batch('zone/a', 0, 2, 1)]);
      assert.equal(notified, 1);
    });

    test('drops old events that all groups have read, and no others', async () => {
      for (let seq = 1; seq <= 10; seq++) await log.append([batch('zone/a', 0, seq, 1, seq * 1_000)]);
      const rule = { olderThanMs: 5_000, bytesMax: Number.MAX_SAFE_INTEGER };
      const readUpTo = (offset: number) => Array.from({ length: log.partitions }, () => offset);
      await log.consumers.note('fast', readUpTo(100));
      await log.consumers.note('slow', readUpTo(3));
      assert.equal(await log.retain(rule, 11_000), 3);
      assert.deepEqual(await seqsOf(log, 'zone/a'), [4, 5, 6, 7, 8, 9, 10]);
      await log.consumers.note('slow', readUpTo(100));
      assert.equal(await log.retain(rule, 11_000), 2);
      assert.deepEqual(await log.claim('zone/a'), { epoch: 1, lastSeq: 10 });
    });

    test('does not block other work while it looks for events to drop, or drops many', async () => {
      for (let seq = 1; seq <= 1_500; seq++) void log.append([batch('zone/a', 0, seq, 1, seq < 1_500 ? 1e15 : 1_000)]);
      await log.append([batch('zone/a', 0, 1_501, 1, 2_000)]);
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
      for (let seq = 1; seq <= 600; seq++) await log.append([batch('zone/a', 0, seq, 1, timeOf(seq))]);
      const rule = { olderThanMs: 0, bytesMax: Number.MAX_SAFE_INTEGER };
      assert.equal(await log.retain(rule, 501), 100);
      assert.equal(await log.retain(rule, 502), 401);
      assert.equal(await log.retain(rule, 1e6), 98);
      assert.deepEqual(await seqsOf(log, 'zone/a'), [600]);
    });

    test('keeps old events that no snapshot covers, and drops them above its maximum size', async () => {
      for (let seq = 1; seq <= 10; seq++) await log.append([batch('zone/a', 0, seq, 1, seq)]);
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
      for (let seq = 1; seq <= 2_000; seq++) await log.append([batch('zone/a', 0, seq, 1)]);
      await log.consumers.note('reader', []);
      const dropped = await log.retain({ olderThanMs: 1e12, bytesMax: 4 * 32_768 }, 2_000);
      assert.ok(dropped > 0);
      assert.equal((await seqsOf(log, 'zone/a')).at(-1), 2_000);
    });

    test('fault 11: a reader gets events from its offset on without a gap, or an error with the start of the log', async () => {
      for (let seq = 1; seq <= 2_000; seq++) await log.append([batch('zone/a', 0, seq, 1)]);
      await log.retain({ olderThanMs: 1e12, bytesMax: 4 * 32_768 }, 2_000);
      const partition = log.stats().partitions.findIndex(({ end }) => end === 2_000);
      const { start, end } = log.stats().partitions[partition] ?? { start: 0, end: 0 };
      assert.ok(start > 0);
      for (const offset of [0, 1, start - 1])
        await assert.rejects(
          log.readFrom(partition, offset, 10),
          (error) => error instanceof OffsetOutOfRange && error.start === start && error.offset === offset,
        );
      assert.equal((await log.readFrom(partition, start, 10))[0]?.offset, start);
      assert.deepEqual(await log.readFrom(partition, end, 10), []);
    });

    test('fault 12: events that a registered group has not read are not dropped by age, whether the group runs or not', async () => {
      for (let seq = 1; seq <= 10; seq++) await log.append([batch('zone/a', 0, seq, 1, seq)]);
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
      assert.deepEqual(log.consumers.gaps('g'), [gap]);
      assert.deepEqual(log.consumers.gaps('other'), []);
    });

    test('does not take a dead letter of another zone or group for a removed one whose id it has', async () => {
      const deadLetter = { group: 'g', partition: 0, offset: 5, zone: 'zone/a', seq: 7, reason: 'no price', createdAt: 1 };
      for (const other of [{ zone: 'zone/b' }, { group: 'other' }]) {
        await log.deadLetters.put(deadLetter, batch('zone/a', 1, 7, 1));
        await log.deadLetters.remove(1);
        const next = { ...deadLetter, ...other };
        await log.deadLetters.put(next, batch(next.zone, 1, 7, 1));
        assert.equal(log.deadLetters.list()[0]?.id, 1);
        assert.equal(log.deadLetters.has('g', 'zone/a', 7), false);
        assert.equal(log.deadLetters.has(next.group, next.zone, 7), true);
        await log.deadLetters.remove(1);
      }
    });

    test('stores dead letters with their reason until they are removed', async () => {
      const deadLetter = { group: 'g', partition: 0, offset: 5, zone: 'zone/a', seq: 1, reason: 'no price', createdAt: 1 };
      await log.deadLetters.put(deadLetter, batch('zone/a', 1, 1, 1));
      await log.deadLetters.put({ ...deadLetter, group: 'other' }, batch('zone/a', 1, 2, 1));
      await reopen();
      assert.deepEqual(log.deadLetters.list('g'), [{ id: 1, ...deadLetter }]);
      assert.equal(log.deadLetters.list().length, 2);
      assert.equal(log.deadLetters.open(1)?.batch.firstSeq, 1);
      await log.deadLetters.replace(1, batch('zone/a', 1, 1, 3));
      assert.equal(log.deadLetters.open(1)?.batch.events.length, 3);
      assert.equal(log.deadLetters.open(1)?.deadLetter.reason, 'no price');
      const waits = () => [
        log.deadLetters.has('g', 'zone/a', 1),
        log.deadLetters.has('g', 'zone/a', 2),
        log.deadLetters.has('third', 'zone/a', 1),
      ];
      assert.deepEqual(waits(), [true, false, false]);
      await log.deadLetters.remove(1);
      assert.equal(log.deadLetters.open(1), undefined);
      assert.deepEqual(waits(), [false, false, false]);
      assert.deepEqual(
        (
          [
            ['g', 1],
            ['g', 9],
            ['elsewhere', 1],
          ] as const
        ).map(([group, seq]) => log.deadLetters.wasPut(group, 'zone/a', seq)),
        [true, false, false],
        'it is remembered that it was put',
      );
    });
  });
}
