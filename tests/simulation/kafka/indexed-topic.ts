import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KafkaLog, LmdbZoneIndex, MemoryCursors, MemoryManifests, ZoneIndex, type ZoneIndexStore } from '@millrace/kafka';
import { type EventBatch, type LogPosition, lastSeqOf, type ShardWriter } from '@millrace/kernel';
import type { DeadLetterBox } from '@millrace/log';
import { MemoryConsumers } from '@millrace/log/testing';
import { RunningKafka } from './running-kafka.ts';
import { validRecords } from './valid-records.ts';

export const ZONES = ['zone/a', 'zone/b', 'zone/c'];
/** Processes that may own the shard, and one that only reads. */
export const OWNERS = 2;
const READER = OWNERS;
const BEAT_MS = 500;
const ENDLESS = { leftMs: () => Number.POSITIVE_INFINITY };
const NO_DEAD_LETTERS = { prune: async () => {} } as unknown as DeadLetterBox & { prune(): Promise<void> };
/** So dense that short histories have the situations of long ones. */
const DENSE = { savedRecordsMin: 1, batchesPerPlace: 3 };

interface Process {
  readonly log: KafkaLog;
  readonly index: ZoneIndex;
  /** Whether its store refuses writes. */
  readonly failing: { isOn: boolean };
}

/** A shard on simulated brokers, and processes that own and read it with an index in one folder. */
export class IndexedTopic {
  kafka = new RunningKafka(1);
  readonly folder = mkdtempSync(join(tmpdir(), 'millrace-index-'));
  readonly positions: LogPosition[] = [];
  readonly processes: Process[] = [];
  refused = 0;
  topicId = 'topic-1';
  #store: LmdbZoneIndex | null = null;
  #manifests = new MemoryManifests();
  #owner: { process: number; writer: ShardWriter } | null = null;
  #zombie: ShardWriter | null = null;

  /** The store of all processes. One process must not open it twice. */
  get store(): LmdbZoneIndex {
    assert.ok(this.#store);
    return this.#store;
  }

  async open(): Promise<void> {
    this.#store = new LmdbZoneIndex(this.#indexFolder, this.topicId, 1);
    for (let process = 0; process <= READER; process++) await this.#start(process);
  }

  async #start(process: number): Promise<void> {
    const { broker, client: clock } = this.kafka;
    const failing = { isOn: false };
    const index = new ZoneIndex({ ...{ broker, clock }, ...DENSE, store: refusing(this.store, failing) });
    const log = await KafkaLog.open({
      ...{ broker, clock, index, manifests: this.#manifests, cursors: new MemoryCursors(), consumers: new MemoryConsumers() },
      ...{ deadLetters: NO_DEAD_LETTERS, shards: 1, shardOf: () => 0, beatMs: BEAT_MS, manifestRecords: 1 },
    });
    this.processes[process] = { log, index, failing };
  }

  /** Ends all processes. */
  async stop(): Promise<void> {
    this.#owner = null;
    for (const { log, index } of this.processes) {
      await log.close();
      this.refused += index.refused;
    }
    await this.store.close();
  }

  process(number: number): Process {
    const found = this.processes[number];
    assert.ok(found);
    return found;
  }

  /** A process becomes the owner. The one before does not know it, and still reads what it has written itself. */
  async claim(process: number): Promise<ShardWriter> {
    for (;;) {
      const claimed = this.process(process).log.own(0, { lease: ENDLESS, onPrevious: () => {} });
      const writer = await claimed.catch(() => null);
      if (!writer) continue;
      this.#zombie = this.#owner?.writer ?? null;
      this.#owner = { process, writer };
      return writer;
    }
  }

  async append(zone: string, counts: readonly number[]): Promise<void> {
    const writer = this.#owner?.writer ?? (await this.claim(0));
    let firstSeq = writer.headOf(zone) + 1;
    const appends = counts.map((count) => {
      const append = writer.append([batchOf(zone, firstSeq, count, writer.epoch)]);
      firstSeq += count;
      return append;
    });
    const outcomes = await Promise.allSettled(appends);
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') this.positions.push(outcome.value);
      else this.#owner = null;
    }
  }

  /** The owner before the last claim appends batches, which are void. */
  async appendAsZombie(zone: string, counts: readonly number[]): Promise<void> {
    const writer = this.#zombie;
    if (!writer) return;
    let firstSeq = writer.headOf(zone) + 1;
    const appends = counts.map((count) => {
      const append = writer.append([batchOf(zone, firstSeq, count, writer.epoch)]);
      firstSeq += count;
      return append;
    });
    await Promise.allSettled(appends);
  }

  /** Reads all records as a consumer group does. */
  async consume(process: number): Promise<void> {
    const { log } = this.process(process);
    let offset = log.stats().partitions[0]?.start ?? 0;
    for (const end = (await log.ends())[0] ?? 0; offset < end; ) offset = (await log.readFrom(0, offset, 100)).next;
  }

  async retain(process: number): Promise<void> {
    await this.process(process).log.retain({ olderThanMs: 0, bytesMax: Number.MAX_SAFE_INTEGER }, 1_000);
  }

  passed(ms: number): Promise<void> {
    return new Promise((resolve) => void this.kafka.client.after(ms, resolve));
  }

  /** Keeps a copy of the index, and later puts it in place of the newer one, while no process runs. */
  keepCopy(): void {
    cpSync(this.#indexFolder, `${this.#indexFolder}.copy`, { recursive: true, force: true });
  }

  putCopyBack(): void {
    this.deleteIndex();
    cpSync(`${this.#indexFolder}.copy`, this.#indexFolder, { recursive: true });
  }

  deleteIndex(): void {
    rmSync(this.#indexFolder, { recursive: true, force: true });
  }

  /** The log is another one from now on, under the same id. Call it while no process runs. */
  replaceLog(): void {
    this.kafka.stop();
    this.kafka = new RunningKafka(1);
    this.#manifests = new MemoryManifests();
    this.#owner = null;
    this.#zombie = null;
    this.positions.splice(0);
  }

  /** What a read gives without an index, computed from the records alone. */
  expected(zone: string, afterSeq: number, from: LogPosition | null): EventBatch[] {
    const begin = typeof from === 'object' && from !== null ? from.offset : 0;
    return validRecords(this.kafka.replicated(0))
      .filter(({ offset, batch }) => offset >= begin && batch.zone === zone && lastSeqOf(batch) > afterSeq)
      .map(({ batch }) => batch);
  }

  /** Newest event of a zone before a position, as a snapshot with that position has it. */
  seqBefore(zone: string, position: LogPosition | null): number {
    const all = this.expected(zone, 0, null);
    const last = all[all.length - this.expected(zone, 0, position).length - 1];
    return last ? lastSeqOf(last) : 0;
  }

  /** Compares a read of the owner, or of the process that only reads, with the records. */
  async requireSameRead(by: 'owner' | 'reader', zone: string, afterSeq: number, from: LogPosition | null): Promise<void> {
    const read: EventBatch[] = [];
    for await (const batch of this.process(by === 'owner' ? (this.#owner?.process ?? READER) : READER).log.read(zone, afterSeq, from))
      read.push(batch);
    const expected = this.expected(zone, afterSeq, from);
    // An owner may still have deleted batches in memory.
    const deleted = this.#wasCut() ? Math.max(0, read.length - expected.length) : 0;
    assert.deepEqual(read.slice(deleted).map(named), expected.map(named), `${zone} after ${afterSeq}`);
  }

  /** Compares all reads, and each place of the index with the records. */
  async requireSound(): Promise<void> {
    const start = this.kafka.replicated(0)[0]?.offset ?? 0;
    const valid = new Map(validRecords(this.kafka.replicated(0)).map(({ offset, batch }) => [offset, batch]));
    for (const zone of ZONES) {
      const last = this.expected(zone, 0, null).at(-1);
      const head = last ? lastSeqOf(last) : 0;
      for (let afterSeq = 0; afterSeq <= head; afterSeq++) {
        for (const by of ['owner', 'reader'] as const) await this.requireSameRead(by, zone, afterSeq, null);
        const { place } = await this.store.find(0, zone, afterSeq + 1);
        if (!place || place.at.offset < start) continue;
        assert.equal(valid.get(place.at.offset)?.zone, zone);
        assert.equal(valid.get(place.at.offset)?.firstSeq, place.firstSeq);
        assert.ok(place.firstSeq <= afterSeq + 1);
      }
    }
    assert.equal(this.refused + this.processes.reduce((sum, { index }) => sum + index.refused, 0), 0, 'the log has what the index has');
  }

  #wasCut(): boolean {
    return (this.kafka.replicated(0)[0]?.offset ?? 0) > 0;
  }

  async close(): Promise<void> {
    await this.stop();
    this.kafka.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get #indexFolder(): string {
    return join(this.folder, 'index');
  }
}

/** A store that refuses writes while it is told to. */
function refusing(store: LmdbZoneIndex, failing: { isOn: boolean }): ZoneIndexStore {
  const unlessFailing = async (write: () => Promise<void>) => {
    if (failing.isOn) throw new Error('no space left on device');
    await write();
  };
  return {
    ranges: (shard) => store.ranges(shard),
    find: (...of) => store.find(...of),
    add: (...of) => unlessFailing(() => store.add(...of)),
    forgetBefore: (...of) => unlessFailing(() => store.forgetBefore(...of)),
    pauseWrites: (work) => store.pauseWrites(work),
    clear: () => store.clear(),
    close: async () => {},
  };
}

function batchOf(zone: string, firstSeq: number, count: number, epoch: number): EventBatch {
  const events = Array.from({ length: count }, (_none, index) => ({ type: 'Counted', number: firstSeq + index }));
  return { ...{ zone, epoch, firstSeq, version: 1, time: 1, metas: null }, events };
}

function named({ zone, epoch, firstSeq, events }: EventBatch): string {
  return `${zone} ${firstSeq} to ${firstSeq + events.length - 1} of epoch ${epoch}`;
}
