import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { KafkaLog, MemoryCursors, MemoryManifests, type TopicBroker } from '@millrace/kafka';
import { type CopiedPlaces, type CopyTarget, compareLogs, copyLog, surveyLog } from '@millrace/kafka/move';
import { lastSeqOf } from '@millrace/kernel';
import { type DeadLetterBox, openLmdbLog, openStoredLog, type StoredLog } from '@millrace/log';
import { MemoryConsumers } from '@millrace/log/testing';
import fc from 'fast-check';
import {
  ENDLESS,
  histories,
  Interrupted,
  identityOf,
  interruptedAfter,
  requireSameReads,
  SHARDS,
  shardOf,
  written,
  ZONES,
} from './moved-history.ts';
import { RunningKafka } from './running-kafka.ts';

/*
 * A log in LMDB that is copied to simulated brokers. The law: after the copy, each zone has the same events, and each consumer group reads what it would have
 * read from the log, in the order of each zone; wherever the copy was interrupted, and whatever the brokers did.
 */

const NO_DEAD_LETTERS = { prune: async () => {} } as unknown as DeadLetterBox & { prune(): Promise<void> };

async function copied(from: StoredLog, target: CopyTarget, eventsAfterManifest?: number): Promise<CopiedPlaces> {
  const survey = await surveyLog(from, shardOf);
  const writtenTo = await copyLog(from, target, survey);
  const ends = from.partitions.map(
    ({ start }, partition) => new Set(from.groups.map(({ offsets }) => offsets[partition] ?? 0).filter((offset) => offset >= start)),
  );
  const events = from.partitions.map((_bounds, partition) => new Set([...from.batches(partition)].map(({ offset }) => offset)));
  return compareLogs(
    from,
    target,
    survey,
    { ends, events },
    { ends: writtenTo, ...(eventsAfterManifest !== undefined && { eventsAfterManifest }) },
  );
}

describe('a log that is copied to Kafka', () => {
  test('law: groups read the same from their offsets on, and zones continue after the same events, after any interruptions and faults', async () => {
    const faults = fc.record({
      lostRequests: fc.constantFrom(0, 0.05),
      lostResponses: fc.constantFrom(0, 0.05),
      repeatedRequests: fc.constantFrom(0, 0.1),
    });
    await fc.assert(
      fc.asyncProperty(
        histories,
        fc.array(fc.integer({ min: 1, max: 120 }), { maxLength: 3 }),
        faults,
        fc.constantFrom(0, 1, 5, 100_000),
        async (history, interruptions, withFaults, eventsAfterManifest) => {
          const folder = mkdtempSync(join(tmpdir(), 'millrace-move-'));
          const kafka = new RunningKafka(SHARDS);
          let names = 0;
          try {
            await written(folder, history);
            const from = openStoredLog(folder);
            const target = (broker: TopicBroker): CopyTarget => ({
              ...{ broker, clock: kafka.client, shards: SHARDS, shardOf },
              newName: () => `copy ${++names}`,
            });
            kafka.setFaults(withFaults);
            for (const requests of interruptions)
              await copied(from, target(interruptedAfter(kafka.broker, requests))).catch((error) =>
                assert.ok(error instanceof Interrupted, error),
              );
            const places = await copied(from, target(kafka.broker), eventsAfterManifest);
            kafka.setFaults({ lostRequests: 0, lostResponses: 0, repeatedRequests: 0 });
            await requireSame({ folder, from, kafka, places });
            await from.close();
          } finally {
            kafka.stop();
            rmSync(folder, { recursive: true, force: true });
          }
        },
      ),
      { numRuns: Number(process.env.MOVE_RUNS ?? 12) },
    );
  });

  test('a copy of another state of the log is refused, with the remedy', async () => {
    const batches = (zones: readonly number[]) => zones.map((zone) => ({ zone, events: 1, isLoss: false }));
    const history = (zones: readonly number[]) => ({ rounds: [{ batches: batches(zones), reads: [], isCut: false, isClaimed: false }] });
    const folder = mkdtempSync(join(tmpdir(), 'millrace-move-'));
    const kafka = new RunningKafka(SHARDS);
    const target: CopyTarget = { broker: kafka.broker, clock: kafka.client, shards: SHARDS, shardOf };
    try {
      await written(join(folder, 'before'), history([0, 0]));
      const before = openStoredLog(join(folder, 'before'));
      await copied(before, target);
      await before.close();
      for (const [name, zones, message] of [
        ['older', [0], /the copy has events of zone\/0 from 2 on/],
        ['other', [1, 0, 0], /the copy differs from the log/],
      ] as const) {
        await written(join(folder, name), history(zones));
        const from = openStoredLog(join(folder, name));
        // Two events of a log that has written them anew, at another time.
        await assert.rejects(copied(from, target), { message, remedy: /Delete the topic/ });
        await from.close();
      }
    } finally {
      kafka.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** A log with one batch of three events, and its copy. */
async function withCopy(work: (copy: { from: StoredLog; target: CopyTarget; kafka: RunningKafka; writtenTo: number[] }) => Promise<void>) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-move-'));
  const kafka = new RunningKafka(SHARDS);
  const target: CopyTarget = { broker: kafka.broker, clock: kafka.client, shards: SHARDS, shardOf };
  try {
    await written(folder, { rounds: [{ batches: [{ zone: 0, events: 3, isLoss: false }], reads: [], isCut: false, isClaimed: false }] });
    const from = openStoredLog(folder);
    const writtenTo = await copyLog(from, target, await surveyLog(from, shardOf));
    await work({ from, target, kafka, writtenTo });
    await from.close();
  } finally {
    kafka.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

test('an offset of a group at which no batch begins is refused with the remedy', () =>
  withCopy(async ({ from, target, writtenTo }) => {
    const ends = from.partitions.map(({ end }) => new Set(end === 3 ? [1, 3] : []));
    const events = from.partitions.map(() => new Set<number>());
    await assert.rejects(compareLogs(from, target, await surveyLog(from, shardOf), { ends, events }, { ends: writtenTo }), {
      message: /at offset 1, where no batch begins/,
      remedy: /skip/,
    });
  }));

test('a leader that does not know of the newest records yet is asked again', () =>
  withCopy(async ({ from, target, kafka, writtenTo }) => {
    let early = 3;
    const fetch: TopicBroker['fetch'] = async (shard, offset, limits) => {
      const fetched = await kafka.broker.fetch(shard, offset, limits);
      // As after an election.
      return early-- > 0 ? { ...fetched, records: [], highWatermark: offset } : fetched;
    };
    const none = from.partitions.map(() => new Set<number>());
    const broker = { ...kafka.broker, fetch };
    await compareLogs(from, { ...target, broker }, await surveyLog(from, shardOf), { ends: none, events: none }, { ends: writtenTo });
    assert.ok(early < 0);
  }));

interface Moved {
  readonly folder: string;
  readonly from: StoredLog;
  readonly kafka: RunningKafka;
  readonly places: CopiedPlaces;
}

async function requireSame({ folder, from, kafka, places }: Moved): Promise<void> {
  const before = openLmdbLog(folder);
  const manifests = new MemoryManifests();
  for (const [shard, manifest] of places.manifests.entries()) await manifests.save(shard, manifest);
  const log = await KafkaLog.open({
    ...{ broker: kafka.broker, clock: kafka.client, manifests, cursors: new MemoryCursors(), consumers: new MemoryConsumers() },
    ...{ deadLetters: NO_DEAD_LETTERS, shards: SHARDS, shardOf },
  });
  try {
    for (const { group, offsets } of from.groups) {
      const moved = Array.from({ length: SHARDS }, (_none, shard) => {
        const partition = shard % from.partitions.length;
        const offset = offsets[partition] ?? 0;
        return offset === 0 ? 0 : (places.ends[partition]?.get(offset)?.get(shard)?.offset ?? 0);
      });
      await requireSameReads({ group, from, before, after: log, offsets, moved });
    }
    for (let shard = 0; shard < SHARDS; shard++) {
      const writer = await log.own(shard, { lease: ENDLESS, onPrevious: () => {} });
      assert.ok(writer.epoch > from.epoch + 1, 'the epoch is above all earlier ones');
      for (const zone of ZONES.filter((one) => shardOf(one) === shard)) {
        assert.equal(writer.headOf(zone), from.heads.get(zone) ?? 0, zone);
        const [one, other]: string[][] = [[], []];
        for await (const batch of before.read(zone, 0, null)) one?.push(...identityOf(batch));
        for await (const batch of log.read(zone, 0, 17)) other?.push(...identityOf(batch));
        assert.deepEqual(other, one, zone);
        const firstSeq = writer.headOf(zone) + 1;
        await writer.append([{ zone, epoch: writer.epoch, firstSeq, version: 1, time: 1, events: [{ type: 'Counted' }], metas: null }]);
      }
    }
    for (const [partition] of from.partitions.entries())
      for (const { offset, batch } of from.batches(partition)) {
        const at = places.events[partition]?.get(offset);
        if (batch.events.length === 0) continue;
        const { batches } = await log.readFrom(shardOf(batch.zone), at ?? -1, 1);
        const [first] = batches;
        assert.ok(
          first && first.batch.zone === batch.zone && first.batch.firstSeq <= batch.firstSeq && lastSeqOf(first.batch) >= batch.firstSeq,
        );
      }
  } finally {
    await log.close();
    await before.close();
  }
}
