import type { EventBatch, FollowedPart, LogPosition, ShardClaim, ShardPlace, ShardWriter, ZoneAddress } from '@millrace/kernel';
import { lastSeqOf } from '@millrace/kernel';
import { partOfCommit, StoreWriter } from '@millrace/lmdb/commit';
import { inTransaction, openShared, pauseWrites } from '@millrace/lmdb/open-shared';
import type { Database, RootDatabase } from 'lmdb';
import type { ConsumerRegistry, EventLog, LogRead, LogStats, RetentionRule } from './event-log.ts';
import { LmdbConsumers } from './lmdb-consumers.ts';
import { LmdbDeadLetters } from './lmdb-dead-letters.ts';
import { followShard, placeOf } from './lmdb-follow.ts';
import { LmdbOwners, type ShardPlacement } from './lmdb-owners.ts';
import { LmdbWriter, type WaitingAppend } from './lmdb-writer.ts';
import { type Ends, earlierAppend, type Head, type LogView, prepareWrite, type Writing } from './lmdb-writes.ts';
import {
  bytesOf,
  CACHED_ZONES_MAX,
  CHUNK_RECORDS,
  PARTITIONS,
  partitionIndex,
  type Records,
  readPartition,
  shapedBy,
  startOf,
  widthOf,
} from './partitions.ts';
import { deletableRecords } from './retention.ts';
import type { WrittenBatch } from './written-batch.ts';

/** Interval at which a log with listeners checks for appends of other processes, ms. */
const POLL_MS = 20;

/** Key of the one entry that every write changes. */
export const STATE = 'state';
/** Key of the entry with the oldest offset of each partition. Only a repair reads it: a damaged file still has records that retention has dropped. */
export const STARTS = 'starts';
/** By default, the shards are the partitions. */
const BY_PARTITION: ShardPlacement = { name: 'by partition', shardOf: partitionIndex };
/** Time after a write conflict with another process in which more conflicts are likely, ms. */
const CONTENDED_MS = 500;

const DATABASES_MAX = 16;
const NO_HEAD: Head = { epoch: 0, seq: 0, at: 0 };
/** Appends of a shard at a time. What is decided meanwhile forms the next one; with more, there are more and smaller commits. */
const IN_FLIGHT_MAX = 1;
/** Events in one commit. */
const COMMIT_EVENTS_MAX = 4_096;
/**
 * The event log in an LMDB file: one record per group of batches and partition, keyed by the offset of its first event. Appends that wait are committed
 * together. Several processes may have it open: the owner of the shard, the seq of the zone and the end of the partition are checked in the transaction
 * that writes a batch.
 * @param folder folder of `data.mdb`, created if missing
 * @throws when the folder cannot be written
 */
export function openLmdbLog(folder: string, placement?: ShardPlacement): LmdbLog {
  return logIn(openShared(folder, { maxDbs: DATABASES_MAX }), folder, placement);
}

/** The log in an LMDB environment that is open, in `folder`. */
export function logIn(root: RootDatabase, folder: string, placement = BY_PARTITION): LmdbLog {
  return new LmdbLog(
    root,
    Array.from({ length: PARTITIONS }, (_none, index) => root.openDB<EventBatch[], number>(shapedBy(`events-${index}`))),
    new StoreWriter('the log', folder),
    placement,
  );
}

export class LmdbLog implements EventLog {
  readonly partitions = PARTITIONS;
  readonly inFlightMax = IN_FLIGHT_MAX;
  readonly deadLetters: LmdbDeadLetters;
  readonly consumers: ConsumerRegistry;
  readonly #root: RootDatabase;
  readonly #writer: StoreWriter;
  readonly #records: readonly Records[];
  readonly #heads: Database<Head, string>;
  readonly #owners: LmdbOwners;
  /** A single entry. Every claim and append of any process increments its version. */
  readonly #state: Database<Ends, string>;
  /** Version of the state entry that the cached ends, heads and owners belong to. */
  #version = 0;
  #ends: Ends = [];
  readonly #known = new Map<ZoneAddress, Head>();
  #contendedUntil = 0;
  #appending: Promise<unknown> = Promise.resolve();
  #waiting: WaitingAppend[] = [];
  readonly #listeners = new Set<() => void>();
  #poll: NodeJS.Timeout | null = null;
  #eventsNotified = 0;

  constructor(root: RootDatabase, records: readonly Records[], writer: StoreWriter, placement: ShardPlacement) {
    this.#root = root;
    this.#writer = writer;
    this.#records = records;
    this.#heads = root.openDB<Head, string>({ name: 'heads' });
    this.#owners = new LmdbOwners(root, placement, this.#heads);
    this.#state = root.openDB<Ends, string>({ name: 'state', useVersions: true });
    this.deadLetters = new LmdbDeadLetters(root, writer, (partition) => {
      const of = records[partition];
      return (of && startOf(of)) ?? 0;
    });
    this.consumers = new LmdbConsumers(root, writer);
    this.#state.transactionSync(() => {
      if (!this.#state.doesExist(STATE))
        void this.#state.put(
          STATE,
          records.map(() => 0),
          1,
        );
    });
    this.#refresh();
  }

  shardOf(zone: ZoneAddress): number {
    return this.#owners.shardOf(zone);
  }

  async own(shard: number, claim: ShardClaim): Promise<ShardWriter> {
    const owner = await this.#write(async () => {
      const claimed = await inTransaction(this.#root, () => {
        this.#refresh();
        const next = this.#owners.next(shard, claim);
        partOfCommit(this.#state.put(STATE, this.#ends, this.#version + 1));
        return { owner: next, version: this.#version + 1 };
      });
      this.#version = claimed.version;
      this.#owners.forget();
      return claimed.owner;
    });
    this.#refreshView();
    return new LmdbWriter(shard, owner, {
      headOf: (zone) => this.#headOf(zone),
      append: (append) => this.#append(append),
    });
  }

  /**
   * Appends batches that hosts of an earlier version have left, as far as they follow the log. Only while no shard has an owner of this version.
   * @returns numbers of events that were written, and of those that the log does not have and that do not follow it
   */
  appendEarlier(batches: readonly WrittenBatch[]): Promise<{ readonly written: number; readonly left: number }> {
    return this.#write(async () => {
      const { writing, version, counts } = await inTransaction(this.#root, () => {
        this.#refresh();
        const { append, left } = earlierAppend(batches, this.#view);
        const prepared = prepareWrite([append], { ...this.#view, ownerOf: () => append.owner });
        this.#put(prepared, this.#version + 1);
        const written = append.batches.reduce((sum, { events }) => sum + events.length, 0);
        return { writing: prepared, version: this.#version + 1, counts: { written, left } };
      });
      this.#cache(writing, version);
      return counts;
    });
  }

  /** Appends wait for a commit that is in progress, and are then committed together. */
  #append(append: WaitingAppend): void {
    this.#waiting.push(append);
    if (this.#waiting.length === 1) void this.#serialize(() => this.#commitWaiting());
  }

  /** Commits the appends that wait. They resolve when the commit is flushed, so that it survives a crash of the machine; the next one does not wait for that. */
  async #commitWaiting(): Promise<void> {
    let events = 0;
    let count = 0;
    while (count < this.#waiting.length && events < COMMIT_EVENTS_MAX)
      events += (this.#waiting[count++] as WaitingAppend).batches.reduce((sum, batch) => sum + widthOf(batch), 0);
    const appends = this.#waiting.splice(0, count);
    if (this.#waiting.length > 0) void this.#serialize(() => this.#commitWaiting());
    let outcome: Writing['outcome'];
    try {
      outcome = await this.#writer.commit(() => this.#commit(appends));
    } catch (error) {
      for (const { done } of appends) done(error as Error);
      return;
    }
    this.#notifyListeners();
    const flushed: Promise<unknown> = this.#root.flushed;
    for (const append of appends) {
      const result = outcome.get(append) as LogPosition | Error;
      if (result instanceof Error) append.done(result);
      else
        void flushed.then(
          () => append.done(result),
          (error) => append.done(error),
        );
    }
  }

  /**
   * Prepares a write from cached state, and commits it if the state is unchanged, which does not block this thread. If another process has written
   * meanwhile, prepares it again within a transaction: slower, but without conflicts.
   */
  async #commit(appends: readonly WaitingAppend[]): Promise<Writing['outcome']> {
    if (performance.now() >= this.#contendedUntil) {
      const writing = prepareWrite(appends, this.#view);
      const version = this.#version;
      if (await this.#state.ifVersion(STATE, version, () => this.#put(writing, version + 1))) {
        this.#cache(writing, version + 1);
        return writing.outcome;
      }
      this.#contendedUntil = performance.now() + CONTENDED_MS;
    }
    const { writing, version } = await inTransaction(this.#root, () => {
      this.#refresh();
      const prepared = prepareWrite(appends, this.#view);
      this.#put(prepared, this.#version + 1);
      return { writing: prepared, version: this.#version + 1 };
    });
    this.#cache(writing, version);
    return writing.outcome;
  }

  async *read(zone: ZoneAddress, afterSeq: number, from: LogPosition | null): AsyncIterable<EventBatch> {
    const records = this.#at(partitionIndex(zone));
    this.#refreshView();
    const head = this.#heads.get(zone) ?? NO_HEAD;
    if (head.seq <= afterSeq) return;
    // Another position is one in a log of another kind.
    for (let start = typeof from === 'number' ? from : 0; ; ) {
      let recordsRead = 0;
      for (const { key, value } of records.getRange({ start, limit: CHUNK_RECORDS })) {
        recordsRead++;
        start = key + 1;
        for (const batch of value) if (batch.zone === zone && lastSeqOf(batch) > afterSeq) yield batch;
      }
      if (recordsRead < CHUNK_RECORDS || start > head.at) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async readFrom(partition: number, offset: number, eventsMax: number): Promise<LogRead> {
    const records = this.#at(partition);
    // Before the records, so that it is not newer than they are.
    const end = this.#endOf(partition);
    return readPartition(records, { partition, offset, eventsMax, end });
  }

  placeOf(shard: number): Promise<ShardPlace> {
    return placeOf(this.#followed, shard);
  }

  follow(shard: number, from: readonly (LogPosition | null)[], signal: AbortSignal): AsyncIterable<FollowedPart> {
    return followShard(this.#followed, shard, from, signal);
  }

  async ends(): Promise<readonly number[]> {
    return this.stats().partitions.map(({ end }) => end);
  }

  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.#eventsNotified = this.#eventsAppended();
    this.#poll ??= setInterval(() => this.#eventsAppended() > this.#eventsNotified && this.#notifyListeners(), POLL_MS).unref();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0 || !this.#poll) return;
      clearInterval(this.#poll);
      this.#poll = null;
    };
  }

  async retain(rule: RetentionRule, now: number): Promise<number> {
    let dropped = 0;
    this.#refreshView();
    const groups = await this.consumers.groups();
    for (const [index, records] of this.#records.entries()) {
      const readByAll = groups.reduce((least, { offsets }) => Math.min(least, offsets[index] ?? 0), Number.POSITIVE_INFINITY);
      for (;;) {
        const { keys, events, start } = await deletableRecords(records, { rule, now, readByAll, end: this.#endOf(index) });
        if (keys.length === 0) break;
        for (let from = 0; from < keys.length; from += CHUNK_RECORDS) {
          const removal = () =>
            records.batch(() => {
              for (const key of keys.slice(from, from + CHUNK_RECORDS)) partOfCommit(records.remove(key));
              partOfCommit(this.#state.put(STARTS, this.#startsWith(index, keys[from + CHUNK_RECORDS] ?? start), 1));
            });
          await this.#writer.commit(removal);
        }
        dropped += events;
      }
    }
    if (dropped > 0) await this.deadLetters.prune();
    return dropped;
  }

  /** The oldest offset of each partition, after a change of one. */
  #startsWith(index: number, start: number): Ends {
    const before = this.#state.get(STARTS) ?? [];
    return this.#records.map((_records, each) => (each === index ? start : (before[each] ?? 0)));
  }

  /** Writes nothing, so it needs no space: a process that may not open the log would wait without end. */
  pauseWrites(work: () => Promise<void>): Promise<void> {
    return this.#serialize(() => pauseWrites(this.#root, work));
  }

  stats(): LogStats {
    this.#refreshView();
    return {
      partitions: this.#records.map((records, index) => {
        const end = this.#endOf(index);
        return { start: startOf(records) ?? end, end };
      }),
      bytes: this.#records.reduce((sum, records) => sum + bytesOf(records), 0),
    };
  }

  async close(): Promise<void> {
    if (this.#poll) clearInterval(this.#poll);
    await this.#appending;
    await this.#root.flushed;
    await this.#root.close();
  }

  get #followed() {
    return { log: this, records: this.#records, heads: this.#heads };
  }

  get #view(): LogView {
    return { ends: this.#ends, headOf: (zone) => this.#headOf(zone), ownerOf: (shard) => this.#owners.of(shard) };
  }

  #put({ groups, heads, before, ends }: Writing, version: number): void {
    for (const [index, group] of groups.entries()) if (group) partOfCommit(this.#at(index).put(before[index] ?? 0, group));
    for (const [zone, head] of heads) partOfCommit(this.#heads.put(zone, head));
    partOfCommit(this.#state.put(STATE, ends, version));
  }

  #cache({ heads, ends }: Writing, version: number): void {
    this.#version = version;
    this.#ends = ends;
    for (const [zone, head] of heads) this.#known.set(zone, head);
  }

  /** Makes appends of other processes visible: within one turn of the event loop, lmdb otherwise returns the same view. */
  #refreshView(): void {
    this.#root.resetReadTxn();
  }

  /** Updates the cached ends, and drops the cached heads and owners, if another process has written. */
  #refresh(): void {
    const entry = this.#state.getEntry(STATE);
    if (entry?.version === undefined) throw new Error('the log has lost its state entry');
    if (entry.version === this.#version) return;
    this.#version = entry.version;
    this.#ends = entry.value;
    this.#known.clear();
    this.#owners.forget();
  }

  #write<T>(work: () => Promise<T>): Promise<T> {
    return this.#serialize(() => this.#writer.commit(work));
  }

  /** Runs one write at a time: each depends on the state after the one before. */
  #serialize<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#appending.then(work);
    this.#appending = done.catch(() => {});
    return done;
  }

  #notifyListeners(): void {
    this.#eventsNotified = this.#eventsAppended();
    for (const listener of this.#listeners) listener();
  }

  #eventsAppended(): number {
    return (this.#state.get(STATE) ?? []).reduce((sum, end) => sum + end, 0);
  }

  #headOf(zone: ZoneAddress): Head {
    const known = this.#known.get(zone);
    if (known) return known;
    const head = this.#heads.get(zone) ?? NO_HEAD;
    if (this.#known.size >= CACHED_ZONES_MAX) this.#known.clear();
    this.#known.set(zone, head);
    return head;
  }

  #endOf(partition: number): number {
    return this.#state.get(STATE)?.[partition] ?? 0;
  }

  #at(index: number): Records {
    const records = this.#records[index];
    if (!records) throw new RangeError(`partition ${index} does not exist; there are ${PARTITIONS}`);
    return records;
  }
}
