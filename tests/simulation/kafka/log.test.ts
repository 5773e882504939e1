import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BrokerError, KafkaLog, MemoryCursors, MemoryManifests } from '@millrace/kafka';
import { type EventBatch, lastSeqOf, type ShardWriter } from '@millrace/kernel';
import { ConsumerGroup, type DeadLetterBox, type EventLog, OffsetOutOfRange } from '@millrace/log';
import { MemoryConsumers, seqsOf } from '@millrace/log/testing';
import { until } from '@millrace/testing';
import fc from 'fast-check';
import { RunningKafka } from './running-kafka.ts';

const SHARDS = 2;
const ZONES = ['zone/a', 'zone/b', 'zone/c'];
/** Interval of heads and manifests, virtual ms. */
const BEAT_MS = 500;
/** In the law, so that the log often ends with heads that no manifest has. */
const RECORDS_PER_MANIFEST = 8;
const ENDLESS = { leftMs: () => Number.POSITIVE_INFINITY };
const EVERYTHING = { olderThanMs: 0, bytesMax: Number.MAX_SAFE_INTEGER };
const NO_DEAD_LETTERS = { prune: async () => {}, has: async () => false, wasPut: async () => false } as unknown as DeadLetterBox & {
  prune(): Promise<void>;
};

const batchOf = (zone: string, firstSeq: number, count: number): EventBatch => ({
  ...{ zone, epoch: 1, firstSeq, version: 1, time: 1, metas: null },
  events: Array.from({ length: count }, (_none, index) => ({ type: 'Counted', number: firstSeq + index })),
});

/** A topic on simulated brokers, what it should have, and the stores that outlive a process. */
class Topic {
  readonly kafka = new RunningKafka(SHARDS);
  readonly manifests = new MemoryManifests();
  readonly consumers = new MemoryConsumers();
  cursors = new MemoryCursors();
  /** Events that were recorded, as `zone seq`, by shard. */
  readonly recorded: string[][] = Array.from({ length: SHARDS }, () => []);
  readonly #seqs = new Map<string, number>();
  readonly #writers = new Map<number, ShardWriter>();

  open(manifestRecords = 1): Promise<KafkaLog> {
    return KafkaLog.open({
      ...{
        broker: this.kafka.broker,
        clock: this.kafka.client,
        manifests: this.manifests,
        cursors: this.cursors,
        consumers: this.consumers,
      },
      ...{
        deadLetters: NO_DEAD_LETTERS,
        shards: SHARDS,
        shardOf: (zone) => (zone === 'zone/b' ? 1 : 0),
        beatMs: BEAT_MS,
        manifestRecords,
      },
    });
  }

  async claim(log: EventLog, shard: number): Promise<void> {
    const writer = await log.own(shard, { lease: ENDLESS, onPrevious: () => {} });
    this.#writers.set(shard, writer);
    for (const zone of ZONES.filter((one) => log.shardOf(one) === shard))
      assert.equal(writer.headOf(zone), this.#seqs.get(zone) ?? 0, zone);
  }

  async append(log: EventLog, zone: string, count: number, time = 1): Promise<void> {
    const shard = log.shardOf(zone);
    if (!this.#writers.has(shard)) await this.claim(log, shard);
    const firstSeq = (this.#seqs.get(zone) ?? 0) + 1;
    await this.#writers.get(shard)?.append([{ ...batchOf(zone, firstSeq, count), time }]);
    this.#seqs.set(zone, firstSeq + count - 1);
    for (let seq = firstSeq; seq < firstSeq + count; seq++) this.recorded[shard]?.push(`${zone} ${seq}`);
  }

  /** Resolves after virtual time. */
  passed(ms: number): Promise<void> {
    return new Promise((resolve) => void this.kafka.client.after(ms, resolve));
  }

  headOf(zone: string): number {
    return this.#seqs.get(zone) ?? 0;
  }

  /** Waits until a head was written and the manifest saved, before which the log may be cut. */
  manifested(): Promise<void> {
    return this.passed(4 * BEAT_MS);
  }
}

/** Reads a shard from an offset to its end. */
async function readAll(log: EventLog, shard: number, from: number): Promise<{ events: string[]; offsets: number[]; next: number }> {
  const events: string[] = [];
  const offsets: number[] = [];
  const end = (await log.ends())[shard] ?? 0;
  let offset = from;
  while (offset < end) {
    const { batches, next } = await log.readFrom(shard, offset, 100);
    for (const { batch, offset: at } of batches) {
      offsets.push(at);
      events.push(...batch.events.map((_event, index) => `${batch.zone} ${batch.firstSeq + index}`));
    }
    assert.ok(next > offset, `the read at ${offset} goes on`);
    offset = next;
  }
  return { events, offsets, next: offset };
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ zone: fc.constantFrom(...ZONES), count: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ group: fc.constantFrom('fast', 'slow', 'both'), shard: fc.nat(SHARDS - 1) }) },
  fc.record({ claim: fc.nat(SHARDS - 1) }),
  fc.record({ restart: fc.constantFrom('with cursors', 'without cursors') }),
  { weight: 2, arbitrary: fc.constant({ retain: true }) },
  fc.record({ ms: fc.constantFrom(BEAT_MS, 3 * BEAT_MS) }),
);

describe('a topic of Kafka as an event log', () => {
  test('law: in any history, each group reads each event once and in order, wherever it begins, and nothing unread is deleted', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        const topic = new Topic();
        let log = await topic.open(RECORDS_PER_MANIFEST);
        const groups = { fast: [0, 0], slow: [0, 0] };
        const read = { fast: [[], []] as string[][], slow: [[], []] as string[][] };
        const note = () => Promise.all(Object.entries(groups).map(([group, offsets]) => log.consumers.note(group, offsets)));
        const readOn = async (group: 'fast' | 'slow', shard: number) => {
          const { events, next } = await readAll(log, shard, groups[group][shard] ?? 0);
          read[group][shard]?.push(...events);
          groups[group][shard] = next;
          await note();
        };
        try {
          await note();
          for (const one of steps) {
            if ('zone' in one) await topic.append(log, one.zone, one.count);
            else if ('group' in one)
              for (const group of ['fast', 'slow'] as const) {
                if (one.group === group || one.group === 'both') await readOn(group, one.shard);
              }
            else if ('ms' in one) await topic.passed(one.ms);
            else if ('claim' in one) await topic.claim(log, one.claim);
            else if ('restart' in one) {
              await log.close();
              if (one.restart === 'without cursors') topic.cursors = new MemoryCursors();
              log = await topic.open(RECORDS_PER_MANIFEST);
              for (let shard = 0; shard < SHARDS; shard++) await topic.claim(log, shard);
            } else {
              await log.retain(EVERYTHING, 1_000);
            }
          }
          for (const group of ['fast', 'slow'] as const)
            for (let shard = 0; shard < SHARDS; shard++) {
              await readOn(group, shard);
              assert.deepEqual(read[group][shard], topic.recorded[shard]);
            }
          for (const zone of ZONES) {
            const seqs = await seqsOf(log, zone);
            assert.deepEqual(
              seqs,
              Array.from({ length: seqs.length }, (_none, index) => topic.headOf(zone) - seqs.length + 1 + index),
            );
          }
        } finally {
          await log.close();
          topic.kafka.stop();
        }
      }),
      { numRuns: 60 },
    );
  });

  test('deletes what all groups have read and snapshots cover, up to a head; a reader of it gets the new start, and a new owner the heads', async () => {
    const topic = new Topic();
    let log = await topic.open();
    try {
      for (let number = 0; number < 20; number++) await topic.append(log, 'zone/a', 2);
      await topic.manifested();
      for (let number = 0; number < 5; number++) await topic.append(log, 'zone/a', 2);
      const { offsets, next } = await readAll(log, 0, 0);
      await log.consumers.note('reader', [next, 0]);
      assert.equal(await log.retain({ ...EVERYTHING, olderThanMs: 1_000 }, 1_000), 0, 'no event is old enough');
      assert.equal(await log.retain({ ...EVERYTHING, isCovered: async () => false }, 1_000), 0, 'no snapshot covers an event');
      await log.consumers.note('late', [offsets[3] ?? 0, 0]);
      assert.ok((await log.retain(EVERYTHING, 1_000)) <= 6, 'a group has read three batches');
      await log.consumers.note('late', [next, 0]);
      const few = await log.retain({ ...EVERYTHING, isCovered: async (_zone, seq) => seq <= 30 }, 1_000);
      assert.ok(few <= 30, `${few} events of 30 that are covered are deleted`);
      const more = await log.retain(EVERYTHING, 1_000);
      assert.ok(more > 0 && few + more <= 50, `${more} events are deleted`);
      const [bounds] = log.stats().partitions;
      assert.ok((bounds?.start ?? 0) > 0);
      await assert.rejects(log.readFrom(0, 3, 10), (error) => error instanceof OffsetOutOfRange && error.start === bounds?.start);
      await log.close();
      log = await topic.open();
      await topic.claim(log, 0);
      await topic.append(log, 'zone/a', 1);
      assert.equal((await seqsOf(log, 'zone/a')).at(-1), 51);
      // Without the manifests nobody knows which events the zones had.
      const other = await KafkaLog.open({
        ...{ broker: topic.kafka.broker, clock: topic.kafka.client, manifests: new MemoryManifests(), cursors: topic.cursors },
        ...{ consumers: topic.consumers, deadLetters: NO_DEAD_LETTERS, shards: SHARDS, shardOf: () => 0 },
      });
      await assert.rejects(topic.claim(other, 0), /begins at offset \d+, and it has no manifest/);
      await other.close();
    } finally {
      await log.close();
      topic.kafka.stop();
    }
  });

  test('keeps what is after the newest manifest: an owner reads it', async () => {
    const topic = new Topic();
    let log = await topic.open(1_000);
    try {
      await topic.append(log, 'zone/a', 2);
      await topic.manifested();
      const manifest = await topic.manifests.load(0);
      await topic.append(log, 'zone/a', 3);
      await topic.manifested();
      assert.deepEqual(await topic.manifests.load(0), manifest);
      await log.retain(EVERYTHING, 1_000);
      assert.ok((log.stats().partitions[0]?.start ?? 0) <= (manifest?.at.offset ?? 0));
      await log.close();
      log = await topic.open();
      await topic.claim(log, 0);
    } finally {
      await log.close();
      topic.kafka.stop();
    }
  });

  test('events from the future are deleted with older ones that follow', async () => {
    const topic = new Topic();
    const log = await topic.open();
    try {
      for (const time of [1, 9_000]) await topic.append(log, 'zone/a', 1, time);
      await topic.manifested();
      const rule = { olderThanMs: 1_000, bytesMax: Number.MAX_SAFE_INTEGER };
      assert.equal(await log.retain(rule, 5_000), 0, 'the time of the last event is not known');
      for (const time of [2, 4_500]) {
        await topic.append(log, 'zone/a', 1, time);
        await topic.manifested();
      }
      assert.equal(await log.retain(rule, 5_000), 3);
    } finally {
      await log.close();
      topic.kafka.stop();
    }
  });

  test('deletes the oldest events above the size, read or not', async () => {
    const topic = new Topic();
    Object.assign(topic.kafka.broker, { bytes: async () => 1_000_000 });
    const log = await topic.open();
    try {
      await log.consumers.note('reader', [0, 0]);
      for (let number = 0; number < 5; number++) await topic.append(log, 'zone/a', 2);
      await topic.manifested();
      assert.equal(await log.retain({ olderThanMs: 1e12, bytesMax: 2_000_000 }, 1_000), 0);
      assert.equal(await log.retain({ olderThanMs: 1e12, bytesMax: 0 }, 1_000), 10);
      // Brokers keep deleted records on the disk for a while.
      for (let number = 0; number < 5; number++) await topic.append(log, 'zone/a', 2);
      await topic.manifested();
      assert.equal(await log.retain({ olderThanMs: 1e12, bytesMax: 900_000 }, 1_000), 0);
    } finally {
      await log.close();
      topic.kafka.stop();
    }
  });

  test('deletes the oldest events above the size also when the brokers do not tell the size, and shows that', async () => {
    const topic = new Topic();
    Object.assign(topic.kafka.broker, { bytes: () => Promise.reject(new BrokerError('unknown', 'CLUSTER_AUTHORIZATION_FAILED')) });
    const log = await topic.open();
    try {
      for (let round = 0; round < 4; round++) {
        for (const zone of ZONES) await topic.append(log, zone, 30);
        await topic.manifested();
      }
      const rule = { olderThanMs: Number.MAX_SAFE_INTEGER, bytesMax: Number.MAX_SAFE_INTEGER };
      assert.equal(await log.retain(rule, 1_000), 0);
      const { bytes, brokers } = log.stats();
      assert.ok(bytes > 1_000, `${bytes}`);
      assert.equal(brokers?.sizeFailure, 'CLUSTER_AUTHORIZATION_FAILED');
      const dropped = await log.retain({ ...rule, bytesMax: bytes / 2 }, 1_000);
      assert.ok(dropped >= 90 && dropped < 360, `${dropped} of 360 events`);
    } finally {
      await log.close();
      topic.kafka.stop();
    }
  });

  test('a shard that cannot be read does not keep the others from being cut', async () => {
    const topic = new Topic();
    const log = await topic.open();
    try {
      for (const zone of ['zone/a', 'zone/b']) await topic.append(log, zone, 2);
      await topic.manifested();
      const { fetch } = topic.kafka.broker;
      Object.assign(topic.kafka.broker, {
        fetch: (...of: Parameters<typeof fetch>) =>
          of[0] === 0 ? Promise.reject(new BrokerError('unknown', 'it is silent')) : fetch(...of),
      });
      await assert.rejects(log.retain(EVERYTHING, 1_000), /it is silent/);
      const [first, second] = log.stats().partitions;
      assert.ok(first?.start === 0 && (second?.start ?? 0) > 0);
    } finally {
      await log.close();
      topic.kafka.stop();
    }
  });

  test('is opened although the leader of a shard does not respond, and then the other shards are read; without any leader it is not', async () => {
    const topic = new Topic();
    const before = await topic.open();
    for (const zone of ZONES) await topic.append(before, zone, 1);
    await before.close();
    const silent = new Set([1]);
    const { ends, starts } = topic.kafka.broker;
    const without = (all: readonly (number | null)[]) => all.map((one, shard) => (silent.has(shard) ? null : one));
    Object.assign(topic.kafka.broker, { ends: async () => without(await ends()), starts: async () => without(await starts()) });
    const log = await topic.open();
    try {
      assert.match(log.stats().brokers?.failure ?? '', /the leaders of the shards 1 do not respond/);
      assert.equal((await readAll(log, 0, 0)).events.length, 2);
      assert.equal((await log.ends())[1], null);
      silent.clear();
      await until(() => log.stats().brokers?.failure === null, 'the leader responds');
      assert.equal((await readAll(log, 1, 0)).events.length, 1);
      for (const shard of [0, 1]) silent.add(shard);
      await assert.rejects(topic.open(), /the leaders of the shards 0, 1 do not respond/);
    } finally {
      await log.close();
      topic.kafka.stop();
    }
  });

  test('feeds a consumer group, which stores its offsets past records that are no events', async () => {
    const topic = new Topic();
    const log = await topic.open();
    const applied: string[] = [];
    const stored = new Map<number, number>();
    const table = {
      name: 'table',
      offsets: async () => new Map(stored),
      apply: async (batches: readonly EventBatch[], read: readonly { partition: number; next: number }[]) => {
        applied.push(...batches.map((batch) => `${batch.zone} ${lastSeqOf(batch)}`));
        for (const { partition, next } of read) stored.set(partition, next);
      },
    };
    const group = new ConsumerGroup(log, table, topic.kafka.client);
    try {
      void group.start();
      for (let number = 0; number < 5; number++) for (const zone of ZONES) await topic.append(log, zone, 1);
      await group.caughtUp();
      assert.deepEqual([...applied].sort(), ZONES.flatMap((zone) => [1, 2, 3, 4, 5].map((seq) => `${zone} ${seq}`)).sort());
      const before = stored.get(0) ?? 0;
      await until(() => (stored.get(0) ?? 0) > before + 2, 'the offsets pass the heads');
      await until(() => group.stats().lag <= 1, 'the group has no lag');
    } finally {
      await group.stop();
      await log.close();
      topic.kafka.stop();
    }
  });
});
