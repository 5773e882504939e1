import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventBatch, LogPosition } from '@millrace/kernel';
import fc from 'fast-check';
import { type Cursor, SHARD_START } from './reader-rule.ts';
import { BrokerError, type ShardBroker } from './shard-broker.ts';
import { readShard } from './shard-reader.ts';
import { encodeRecord } from './shard-records.ts';
import { SharedReads } from './shared-reads.ts';

const NONCE = 'owner';

/** A shard in memory with one owner. A fetch gives up to three records, in a later turn. */
class Shard {
  fetches = 0;
  failure: Error | null = null;
  readonly #values: Buffer[] = [encodeRecord({ kind: 'claim', epoch: 1, previous: 0, nonce: NONCE }).value];
  readonly #seqs = new Map<string, number>();

  append(zone: string): void {
    const seq = (this.#seqs.get(zone) ?? 0) + 1;
    this.#seqs.set(zone, seq);
    const batch: EventBatch = { zone, epoch: 1, firstSeq: seq, version: 1, time: 0, metas: null, events: [{ type: `e${seq}` }] };
    this.#values.push(encodeRecord({ kind: 'data', nonce: NONCE, index: this.#values.length - 1, batch }).value);
  }

  seqOf(zone: string): number {
    return this.#seqs.get(zone) ?? 0;
  }

  readonly broker = {
    startOf: async () => 0,
    fetch: async (_shard, offset) => {
      this.fetches++;
      const highWatermark = this.#values.length;
      const records = this.#values.slice(offset, offset + 3).map((value, index) => ({ offset: offset + index, value }));
      if (this.failure) throw this.failure;
      await new Promise((resolve) => setImmediate(resolve));
      return { records, highWatermark, start: 0 };
    },
  } as Partial<ShardBroker> as ShardBroker;

  /** The cursor at each offset. */
  async cursors(): Promise<Cursor[]> {
    const cursors: Cursor[] = [];
    for (let cursor = SHARD_START; cursor.offset < this.#values.length; ) {
      cursors.push(cursor);
      cursor = (await readShard(this.broker, 0, cursor, { maxBytes: 1, waitMs: 0, end: cursor.offset + 1 })).next;
    }
    return cursors;
  }
}

async function seqsOf(reads: SharedReads, zone: string, afterSeq = 0, from: LogPosition | null = null, slowly = false): Promise<number[]> {
  const seqs: number[] = [];
  for await (const { firstSeq } of reads.read(zone, afterSeq, from)) {
    seqs.push(firstSeq);
    if (slowly) for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  return seqs;
}
const upTo = (seq: number, after = 0) => Array.from({ length: Math.max(0, seq - after) }, (_none, index) => after + index + 1);

describe('reads of zones of one shard at the same time', () => {
  test('share the requests', async () => {
    const shard = new Shard();
    for (let round = 0; round < 6; round++) for (const zone of 'abcdefghij') shard.append(zone);
    const reads = new SharedReads(shard.broker, 0);
    const all = await Promise.all([...'abcdefghij'].map((zone) => seqsOf(reads, zone)));
    for (const seqs of all) assert.deepEqual(seqs, upTo(6));
    assert.equal(shard.fetches, Math.ceil(61 / 3));
  });

  test('do not wait for a slow reader, which gets everything, and may itself wait for another read', async () => {
    const shard = new Shard();
    for (let round = 0; round < 6; round++) for (const zone of 'ab') shard.append(zone);
    const reads = new SharedReads(shard.broker, 0);
    const [slow, other] = await Promise.all([seqsOf(reads, 'a', 0, null, true), seqsOf(reads, 'b')]);
    assert.deepEqual([slow, other], [upTo(6), upTo(6)]);
    const nested: number[][] = [];
    for await (const { firstSeq } of reads.read('a', 0, null)) nested.push([firstSeq, ...(await seqsOf(reads, 'b', firstSeq))]);
    assert.deepEqual(
      nested,
      upTo(6).map((seq) => [seq, ...upTo(6, seq)]),
    );
  });

  test('keep no more than a part of the log for a reader that does not take it', async () => {
    const shard = new Shard();
    for (let round = 0; round < 60; round++) shard.append('a');
    const read = new SharedReads(shard.broker, 0).read('a', 0, null)[Symbol.asyncIterator]();
    await read.next();
    for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(shard.fetches <= 3, `${shard.fetches} requests`);
  });

  test('get batches of their own', async () => {
    const shard = new Shard();
    shard.append('a');
    const reads = new SharedReads(shard.broker, 0);
    const first = async () => {
      for await (const batch of reads.read('a', 0, null)) return batch;
      return null;
    };
    const [one, other] = await Promise.all([first(), first()]);
    assert.deepEqual(one, other);
    assert.notEqual(one, other);
  });

  test('end without their rest when the reader does not want it', async () => {
    const shard = new Shard();
    for (let round = 0; round < 30; round++) shard.append('a');
    const reads = new SharedReads(shard.broker, 0);
    for await (const { firstSeq } of reads.read('a', 0, null)) if (firstSeq === 2) break;
    assert.ok(shard.fetches <= 2, `${shard.fetches} requests`);
    assert.deepEqual(await seqsOf(reads, 'a', 28), [29, 30]);
  });

  test('end where their reader wants, and a pass leaves out what no read wants', async () => {
    const shard = new Shard();
    for (let round = 0; round < 60; round++) shard.append('a');
    const cursors = await shard.cursors();
    shard.fetches = 0;
    const reads = new SharedReads(shard.broker, 0);
    const upToOffset = async (from: LogPosition | null, end: number) => {
      const seqs: number[] = [];
      for await (const { firstSeq } of reads.read('a', 0, from, end)) seqs.push(firstSeq);
      return seqs;
    };
    const [first, last, none] = await Promise.all([
      upToOffset(null, 5),
      seqsOf(reads, 'a', 0, cursors[56] ?? null),
      upToOffset(cursors[30] ?? null, 30),
    ]);
    assert.deepEqual([first, last, none], [upTo(4), upTo(60, 55), []]);
    assert.ok(shard.fetches <= 5, `${shard.fetches} requests`);
  });

  test('all fail with a pass that fails, and later ones do not', async () => {
    const shard = new Shard();
    for (const zone of 'ab') shard.append(zone);
    const reads = new SharedReads(shard.broker, 0);
    shard.failure = new BrokerError('unknown', 'no response');
    const outcomes = await Promise.allSettled([seqsOf(reads, 'a'), seqsOf(reads, 'b')]);
    for (const outcome of outcomes) assert.match(String(outcome.status === 'rejected' && outcome.reason), /no response/);
    shard.failure = null;
    assert.deepEqual(await seqsOf(reads, 'b'), [1]);
  });

  test('law: each gives what the log has of its zone after its position when it begins, whatever else is read and appended meanwhile', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...'abc'), { minLength: 1, maxLength: 30 }),
        fc.array(
          fc.record({
            zone: fc.constantFrom(...'abc'),
            from: fc.option(fc.nat(29)),
            turns: fc.nat(6),
            appends: fc.constantFrom('', 'a', 'ab', 'cab'),
            slowly: fc.boolean(),
          }),
          { maxLength: 20 },
        ),
        async (before, drawn) => {
          const shard = new Shard();
          for (const zone of before) shard.append(zone);
          const cursors = await shard.cursors();
          const reads = new SharedReads(shard.broker, 0);
          const running = drawn.map(async ({ zone, from, turns, appends, slowly }) => {
            for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
            for (const one of appends) shard.append(one);
            const cursor = from === null ? null : (cursors[from % cursors.length] as Cursor);
            const afterSeq = cursor === null ? 0 : before.slice(0, Math.max(0, cursor.offset - 1)).filter((one) => one === zone).length;
            const durable = shard.seqOf(zone);
            const seqs = await seqsOf(reads, zone, afterSeq, cursor, slowly);
            assert.deepEqual(seqs, upTo(Math.max(durable, seqs.at(-1) ?? 0), afterSeq));
          });
          await Promise.all(running);
        },
      ),
      { numRuns: 300 },
    ));
});
