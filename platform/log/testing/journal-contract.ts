import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, describe, test } from 'node:test';
import {
  ClaimLost,
  type EventBatch,
  type Journal,
  type LogPosition,
  SequenceGap,
  type ShardWriter,
  TooLarge,
  WriterEnded,
} from '@millrace/kernel';
import { followContract } from './follow-contract.ts';

/** Opens a log under test, also again after a stop. */
export interface JournalUnderTest<Log extends Journal> {
  open(): Promise<Log>;
  close(log: Log): Promise<void>;
  /** Removes everything. */
  clean(): Promise<void>;
  /** Size of the largest event that the log takes, about, bytes. Default: any. */
  readonly eventBytesMax?: number;
  /** Called after the last test. */
  end?(): void;
}

const ENDLESS = { leftMs: () => Number.POSITIVE_INFINITY };
/** A zone, and another one in another shard. */
const [ZONE, OTHER] = ['zone/a', 'zone/b'] as const;

const batch = (zone: string, firstSeq: number, count: number, epoch = 1): EventBatch => ({
  ...{ zone, epoch, firstSeq, version: 1, time: 1_000, metas: null },
  events: Array.from({ length: count }, (_none, index) => ({ type: 'Counted', number: firstSeq + index })),
});

/** An event of any size. */
const told = (number: number, text: string) => ({ type: 'Told', number, text });

export async function seqsOf(log: Journal, zone: string, afterSeq = 0, from: LogPosition | null = null): Promise<number[]> {
  const seqs: number[] = [];
  for await (const { firstSeq, events } of log.read(zone, afterSeq, from)) seqs.push(...events.map((_event, index) => firstSeq + index));
  return seqs;
}

/** The contract of every log that hosts write to. */
export function journalContract<Log extends Journal>(name: string, under: JournalUnderTest<Log>): void {
  describe(`${name} as a journal`, () => {
    let log: Log;
    beforeEach(async () => {
      log = await under.open();
      assert.notEqual(log.shardOf(ZONE), log.shardOf(OTHER));
    });
    afterEach(async () => {
      await under.close(log);
      await under.clean();
    });
    after(() => under.end?.());
    const reopen = async () => {
      await under.close(log);
      log = await under.open();
    };
    const own = (zone: string, names: string[] = []): Promise<ShardWriter> =>
      log.own(log.shardOf(zone), { lease: ENDLESS, onPrevious: (owner, previous) => void names.push(previous, owner) });

    followContract({ log: () => log, own, batch, reopen, zones: [ZONE, OTHER] });

    test('has appended batches in order, also after it was opened again', async () => {
      const first = await own(ZONE);
      assert.deepEqual([first.epoch, first.headOf(ZONE)], [1, 0]);
      await first.append([batch(ZONE, 1, 3), batch(ZONE, 4, 2)]);
      await first.append([batch(ZONE, 6, 1)]);
      assert.equal(first.headOf(ZONE), 6);
      assert.deepEqual(await seqsOf(log, ZONE), [1, 2, 3, 4, 5, 6]);
      await reopen();
      assert.deepEqual(await seqsOf(log, ZONE), [1, 2, 3, 4, 5, 6]);
      const second = await own(ZONE);
      assert.deepEqual([second.epoch, second.headOf(ZONE), second.headOf('zone/unknown')], [2, 6, 0]);
    });

    test('has events, metadata and lost ranges unchanged', async () => {
      const events = [{ type: 'Told', text: '한글', list: [1.5, null, { deep: 'x' }] }];
      const withMetas: EventBatch = { ...batch(ZONE, 1, 0), events, metas: [{ id: 'c1', correlation: 't1' }] };
      const checkpoint = { state: { count: 9 }, answered: [['c1', 1] as const] };
      const loss: EventBatch = { ...batch(ZONE, 2, 0), loss: { lastSeq: 7, checkpoint } };
      await (await own(ZONE)).append([withMetas, loss, batch(ZONE, 8, 1)]);
      const read: EventBatch[] = [];
      for await (const one of log.read(ZONE, 0, null)) read.push(one);
      assert.deepEqual(read[0]?.events, events);
      assert.deepEqual(read[0]?.metas, [{ id: 'c1', correlation: 't1' }]);
      assert.deepEqual(read[1]?.loss, { lastSeq: 7, checkpoint });
      assert.equal(read[2]?.firstSeq, 8);
    });

    test('has large batches, a large event and a large state', async () => {
      const text = 'x'.repeat(300_000);
      const events = Array.from({ length: 10 }, (_none, number) => told(number, text));
      const large: EventBatch = { ...batch(ZONE, 1, 0), events, metas: events.map(({ number }) => ({ id: `c${number}` })) };
      const single: EventBatch = { ...batch(ZONE, 11, 0), events: [told(10, text.repeat(10))] };
      const checkpoint = { state: { text: text.repeat(10) }, answered: [] };
      const loss: EventBatch = { ...batch(ZONE, 12, 0), loss: { lastSeq: 20, checkpoint } };
      const writer = await own(ZONE);
      await writer.append([large, single, loss, batch(ZONE, 21, 1)]);
      const read: EventBatch[] = [];
      for await (const one of log.read(ZONE, 0, null)) read.push(one);
      assert.deepEqual(
        read.flatMap((one) => one.events),
        [...events, ...single.events, ...batch(ZONE, 21, 1).events],
      );
      assert.deepEqual(
        read.flatMap(({ metas }) => metas ?? []).map((meta) => meta?.id),
        events.map(({ number }) => `c${number}`),
      );
      assert.deepEqual(read.find((one) => one.loss)?.loss, loss.loss);
      await reopen();
      assert.equal((await own(ZONE)).headOf(ZONE), 21);
    });

    const { eventBytesMax } = under;
    if (eventBytesMax !== undefined)
      test('refuses an event above its limit, writes nothing of that append, and goes on', async () => {
        const sized = (firstSeq: number, bytes: number): EventBatch => ({
          ...batch(ZONE, firstSeq, 0),
          events: [told(firstSeq, 'x'.repeat(bytes))],
        });
        const writer = await own(ZONE);
        const refused = writer.append([batch(ZONE, 1, 1), sized(2, eventBytesMax)]);
        await assert.rejects(refused, (error) => error instanceof TooLarge && error.zone === ZONE && error.firstSeq === 2);
        await writer.append([sized(1, eventBytesMax - 1_000), batch(ZONE, 2, 1)]);
        assert.deepEqual(await seqsOf(log, ZONE), [1, 2]);
      });

    test('takes appends in the order of the calls, as many as it allows at a time, with a position from which each is found', async () => {
      const writer = await own(ZONE);
      const appends = Array.from({ length: log.inFlightMax }, (_none, index) => writer.append([batch(ZONE, 2 * index + 1, 2)]));
      const positions = await Promise.all(appends);
      const last = 2 * log.inFlightMax;
      assert.equal(writer.headOf(ZONE), last);
      for (const [index, position] of positions.entries())
        assert.deepEqual((await seqsOf(log, ZONE, 2 * index, position)).slice(0, 2), [2 * index + 1, 2 * index + 2]);
      assert.equal((await seqsOf(log, ZONE, last - 1, positions.at(-1))).at(-1), last);
    });

    test('refuses a gap, a repeat and an overlap, writes nothing of that append, and goes on', async () => {
      const writer = await own(ZONE);
      await writer.append([batch(ZONE, 1, 3)]);
      for (const firstSeq of [1, 2, 3, 4, 6, 9]) {
        const append = writer.append([batch(ZONE, 4, 1), batch(ZONE, firstSeq, 4)]);
        await assert.rejects(append, (error) => error instanceof SequenceGap && error.zone === ZONE && error.due === 5);
      }
      for (const firstSeq of [1, 2, 3, 5]) await assert.rejects(writer.append([batch(ZONE, firstSeq, 4)]), SequenceGap);
      await writer.append([batch(ZONE, 4, 1)]);
      assert.deepEqual(await seqsOf(log, ZONE), [1, 2, 3, 4]);
    });

    test('takes nothing of an owner that another has followed, also after it was opened again; other shards are not affected', async () => {
      const [first, other] = [await own(ZONE), await own(OTHER)];
      await first.append([batch(ZONE, 1, 1)]);
      const second = await own(ZONE);
      await assert.rejects(first.append([batch(ZONE, 2, 1)]), (error) => error instanceof WriterEnded && error.end === 'fenced');
      assert.equal(await first.ended, 'fenced');
      await assert.rejects(first.append([batch(ZONE, 2, 1)]), WriterEnded, 'once ended, for ever');
      await second.append([batch(ZONE, 2, 2, 2)]);
      assert.notEqual(first.headOf(ZONE), 3, 'it has not recorded what the later owner has');
      await other.append([batch(OTHER, 1, 1)]);
      await reopen();
      const third = await own(ZONE);
      assert.deepEqual([third.epoch, third.headOf(ZONE)], [3, 3]);
      assert.deepEqual(await seqsOf(log, ZONE), [1, 2, 3]);
      assert.deepEqual(await seqsOf(log, OTHER), [1]);
    });

    test('tells each owner its name and that of the one before, across openings', async () => {
      const names: string[] = [];
      await own(ZONE, names);
      await own(ZONE, names);
      await own(OTHER, names);
      await reopen();
      await own(ZONE, names);
      const [none, first, before, second, noneThere, other, last, third] = names;
      assert.deepEqual([none, noneThere, before, last], ['', '', first, second]);
      assert.equal(new Set([first, second, other, third]).size, 4);
    });

    test('gives no ownership without a lease, or against an exception of the claimer, and the owner before goes on', async () => {
      const writer = await own(ZONE);
      const shard = log.shardOf(ZONE);
      await assert.rejects(log.own(shard, { lease: { leftMs: () => 0 }, onPrevious: () => {} }), ClaimLost);
      const onPrevious = () => {
        throw new Error('the spool is full');
      };
      await assert.rejects(log.own(shard, { lease: ENDLESS, onPrevious }), /the spool is full/);
      await writer.append([batch(ZONE, 1, 1)]);
      assert.deepEqual(await seqsOf(log, ZONE), [1]);
    });

    test('a released writer takes nothing more, and its appends are durable', async () => {
      const writer = await own(ZONE);
      const appended = writer.append([batch(ZONE, 1, 1)]);
      await writer.release();
      await appended;
      assert.equal(await writer.ended, 'released');
      await assert.rejects(writer.append([batch(ZONE, 2, 1)]), WriterEnded);
      assert.equal((await own(ZONE)).headOf(ZONE), 1);
    });
  });
}
