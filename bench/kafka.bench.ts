import { join } from 'node:path';
import { systemClock } from '@millrace/base/clock';
import {
  KafkaJournal,
  LmdbZoneIndex,
  MemoryManifests,
  openKafkaTopic,
  SHARD_START,
  ShardTail,
  ShardWriter,
  ZoneIndex,
} from '@millrace/kafka';
import { kafkaMissing, openBareProducer, openTestKafka } from '@millrace/kafka/testing';
import type { EventBatch, ZoneAddress } from '@millrace/kernel';
import { alternated, inFolder, median, paired, quantile, rate, report } from './measure.ts';

/*
 * Appends to a shard on three real brokers, in-sync replicas included, alternately with the idempotent producer of the same client library, which sends
 * records of the same size. And a read of one zone by a process that does not own it, with and without the index of the zones.
 */

const ROUNDS = 7;
const APPENDS = 150;
const IN_FLIGHT = 5;
const ZONES = 10;
const EVENTS = 50;
const SINGLE_APPENDS = 300;
/** A zone with few events, and records of other zones after them. */
const FEW = 10;
const OTHERS = 200_000;
const OTHERS_PER_APPEND = 2_000;
const READS = 15;

const missing = await kafkaMissing();
if (missing) {
  console.error(`not measured: ${missing}`);
  process.exit();
}
const kafka = await openTestKafka();
const connection = { brokers: kafka.addresses, clientId: 'bench' };
const topic = await openKafkaTopic(connection, { name: 'ours', shards: 1 });
await (await openKafkaTopic(connection, { name: 'bare', shards: 1 })).close();
const producer = openBareProducer(kafka.addresses, 'bare');
const tail = new ShardTail({ broker: topic, shard: 0, clock: systemClock, cursor: SHARD_START, heads: new Map() });
const lease = { leftMs: () => Number.POSITIVE_INFINITY };
const writer = await owned();
const seqs = new Array<number>(ZONES).fill(0);

async function owned(): Promise<ShardWriter> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ShardWriter.own({ broker: topic, shard: 0, lease, clock: systemClock, tail, nonce: `bench-${attempt}` });
    } catch (error) {
      // The brokers create the topic of their transactions at the first use.
      if (attempt === 20) throw error;
    }
  }
}

function nextBatches(): EventBatch[] {
  return seqs.map((seq, zone) => {
    seqs[zone] = seq + EVENTS;
    const events = Array.from({ length: EVENTS }, (_none, index) => ({
      type: 'TradeRecorded',
      price: '30123.45',
      quantity: '0.0123',
      id: seq + index,
    }));
    const address = `counter/${zone}` as ZoneAddress;
    return { zone: address, epoch: writer.epoch, firstSeq: seq + 1, version: 1, time: 0, events, metas: null };
  });
}

const sample = await sizesOf();
const bareRecords = sample.map((bytes) => ({ key: Buffer.from('counter/0'), value: Buffer.alloc(bytes, 'x') }));

/** Sizes of the records of one append. */
async function sizesOf(): Promise<number[]> {
  await writer.append(nextBatches());
  const { records } = await topic.fetch(0, 0, { maxBytes: 2 ** 20, waitMs: 100 });
  return records.slice(-ZONES).map(({ value }) => value?.length ?? 0);
}

async function inFlight(append: () => Promise<unknown>): Promise<void> {
  let left = APPENDS;
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (left-- > 0) await append();
    }),
  );
}

const events = APPENDS * ZONES * EVENTS;
const speed = await paired(
  ROUNDS,
  () => rate(events, () => inFlight(() => writer.append(nextBatches()))),
  () => rate(events, () => inFlight(() => producer.send(bareRecords))),
);
report({
  what: `events appended on three brokers, all in-sync replicas, ${IN_FLIGHT} appends of ${ZONES * EVENTS} events in flight`,
  ...speed,
  unit: 'events/s',
  budget: { kind: '>=', value: 0.7 },
  note: 'bare: the producer of the client library',
});

const durations = await alternated(SINGLE_APPENDS, {
  ours: () => writer.append(nextBatches()),
  bare: () => producer.send(bareRecords),
});
report({
  what: 'one append until all in-sync replicas have it, p99',
  ours: quantile(durations.ours, 0.99),
  bare: quantile(durations.bare, 0.99),
  unit: 'ms',
  budget: { kind: '<=', value: 1.5 },
  note: `p50 ${quantile(durations.ours, 0.5).toFixed(1)} ms, bare ${quantile(durations.bare, 0.5).toFixed(1)} ms`,
});
await producer.close();
await topic.close();
await inFolder(readsOfOneZone);

async function readsOfOneZone(folder: string): Promise<void> {
  const broker = await openKafkaTopic(connection, { name: 'one-zone', shards: 1 });
  const parts = { broker, clock: systemClock, manifests: new MemoryManifests(), shards: 1, shardOf: () => 0 };
  const index = new ZoneIndex({ broker, clock: systemClock, store: new LmdbZoneIndex(join(folder, 'index'), await broker.id()) });
  const owner = await new KafkaJournal({ ...parts, index }).own(0, { lease, onPrevious: () => {} });
  const batchOf = (zone: ZoneAddress, firstSeq: number): EventBatch => ({
    ...{ zone, epoch: owner.epoch, firstSeq, version: 1, time: 0, metas: null },
    events: [{ type: 'TradeRecorded', price: '30123.45', quantity: '0.0123', id: firstSeq } as { type: string }],
  });
  for (let seq = 1; seq <= FEW; seq++) await owner.append([batchOf('counter/few', seq)]);
  for (let seq = 1; seq <= OTHERS / OTHERS_PER_APPEND; seq++)
    await owner.append(Array.from({ length: OTHERS_PER_APPEND }, (_none, zone) => batchOf(`counter/${zone}`, seq)));
  await index.written();
  const [withIndex, without] = [new KafkaJournal({ ...parts, index }), new KafkaJournal(parts)];
  const read = async (journal: KafkaJournal) => {
    let events = 0;
    for await (const batch of journal.read('counter/few', 0, null)) events += batch.events.length;
    if (events !== FEW) throw new Error(`${events} events were read`);
  };
  const times = await alternated(READS, { ours: () => read(withIndex), bare: () => read(without) });
  report({
    what: `all events of a zone with ${FEW}, read by a process that does not own it, before ${OTHERS.toLocaleString('en')} records of other zones`,
    ours: median(times.ours),
    bare: median(times.bare),
    unit: 'ms',
    budget: { kind: '<=', value: 0.1 },
    note: 'bare: without the index of the zones',
  });
  await owner.release();
  await index.close();
  await broker.close();
}

await kafka.close();
process.exit();
