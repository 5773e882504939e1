import {
  type Appended,
  admit,
  type Claim,
  type EventBatch,
  type LogPosition,
  lastSeqOf,
  writerOf,
  type ZoneAddress,
} from '@millrace/kernel';
import { partOfCommit, StoreWriter } from '@millrace/lmdb/commit';
import { inTransaction, openShared, pauseWrites } from '@millrace/lmdb/open-shared';
import type { Database, RootDatabase } from 'lmdb';
import {
  type ConsumerRegistry,
  type EventLog,
  type LoggedBatch,
  type LogStats,
  OffsetOutOfRange,
  type RetentionRule,
} from './event-log.ts';
import { LmdbConsumers } from './lmdb-consumers.ts';
import { LmdbDeadLetters } from './lmdb-dead-letters.ts';
import {
  bytesOf,
  CACHED_ZONES_MAX,
  CHUNK_RECORDS,
  PARTITIONS,
  partitionIndex,
  type Records,
  shapedBy,
  startOf,
  widthOf,
} from './partitions.ts';
import { deletableRecords } from './retention.ts';

/** Interval at which a log with listeners checks for appends of other processes, ms. */
const POLL_MS = 20;

/** Newest epoch and seq of a zone, with the position of its newest record. */
export interface Head {
  readonly epoch: number;
  readonly seq: number;
  /** Offset of the record that holds `seq`. */
  readonly at: number;
}

/** Key of the one entry that every write changes. */
export const STATE = 'state';
/** Key of the entry with the oldest offset of each partition. Only a repair reads it: a damaged file still has records that retention has dropped. */
export const STARTS = 'starts';
/** Time after a write conflict with another process in which more conflicts are likely, ms. */
const CONTENDED_MS = 500;

const DATABASES_MAX = 16;
const NO_HEAD: Head = { epoch: 0, seq: 0, at: 0 };

/**
 * The event log in an LMDB file: one record per group of batches and partition, keyed by the offset of its first event. An append is a group commit.
 * Several processes may have it open: epoch and seq of the zone and the end of the partition are checked in the transaction that writes a batch.
 * @param folder folder of `data.mdb`, created if missing
 * @throws when the folder cannot be written
 */
export function openLmdbLog(folder: string): EventLog {
  return logIn(openShared(folder, { maxDbs: DATABASES_MAX }), folder);
}

/** The log in an LMDB environment that is open, in `folder`. */
export function logIn(root: RootDatabase, folder: string): EventLog {
  return new LmdbLog(
    root,
    Array.from({ length: PARTITIONS }, (_none, index) => root.openDB<EventBatch[], number>(shapedBy(`events-${index}`))),
    new StoreWriter('the log', folder),
  );
}

/** Where each partition ends: the offset of its next event. */
type Ends = readonly number[];

/** A prepared write, valid while the state that it is based on is unchanged. */
interface Writing {
  readonly outcome: Appended[];
  readonly groups: readonly (EventBatch[] | undefined)[];
  readonly heads: ReadonlyMap<ZoneAddress, Head>;
  readonly before: Ends;
  readonly ends: Ends;
}

class LmdbLog implements EventLog {
  readonly partitions = PARTITIONS;
  readonly deadLetters: LmdbDeadLetters;
  readonly consumers: ConsumerRegistry;
  readonly #root: RootDatabase;
  readonly #writer: StoreWriter;
  readonly #records: readonly Records[];
  readonly #heads: Database<Head, string>;
  /** A single entry. Every claim and append of any process increments its version. */
  readonly #state: Database<Ends, string>;
  /** Version of the state entry that the cached ends and heads belong to. */
  #version = 0;
  #ends: Ends = [];
  readonly #known = new Map<ZoneAddress, Head>();
  #contendedUntil = 0;
  #appending: Promise<unknown> = Promise.resolve();
  readonly #listeners = new Set<() => void>();
  #poll: NodeJS.Timeout | null = null;
  #eventsNotified = 0;

  constructor(root: RootDatabase, records: readonly Records[], writer: StoreWriter) {
    this.#root = root;
    this.#writer = writer;
    this.#records = records;
    this.#heads = root.openDB<Head, string>({ name: 'heads' });
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

  claim(zone: ZoneAddress): Promise<Claim> {
    return this.#write(async () => {
      const { head, version } = await inTransaction(this.#root, () => {
        this.#refresh();
        const before = this.#headOf(zone);
        const claimed = { ...before, epoch: before.epoch + 1 };
        partOfCommit(this.#heads.put(zone, claimed));
        partOfCommit(this.#state.put(STATE, this.#ends, this.#version + 1));
        return { head: claimed, version: this.#version + 1 };
      });
      this.#version = version;
      this.#known.set(zone, head);
      return { epoch: head.epoch, lastSeq: head.seq };
    });
  }

  /** Resolves when the commit is flushed, so that it survives a crash of the machine. The next commit does not wait for the flush. */
  async append(batches: readonly EventBatch[], onTaken?: () => void): Promise<Appended[]> {
    const outcome = await this.#write(() => this.#appendSerialized(batches));
    onTaken?.();
    this.#notifyListeners();
    await this.#root.flushed;
    return outcome;
  }

  /**
   * Prepares the write from cached state, and commits it if the state is unchanged, which does not block this thread. If another process has written
   * meanwhile, prepares it again within a transaction: slower, but without conflicts.
   */
  async #appendSerialized(batches: readonly EventBatch[]): Promise<Appended[]> {
    if (performance.now() >= this.#contendedUntil) {
      const writing = this.#prepare(batches);
      const version = this.#version;
      if (await this.#state.ifVersion(STATE, version, () => this.#put(writing, version + 1))) {
        this.#cache(writing, version + 1);
        return writing.outcome;
      }
      this.#contendedUntil = performance.now() + CONTENDED_MS;
    }
    const { writing, version } = await inTransaction(this.#root, () => {
      this.#refresh();
      const prepared = this.#prepare(batches);
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
    for (let start = from ?? 0; ; ) {
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

  async readFrom(partition: number, offset: number, eventsMax: number): Promise<LoggedBatch[]> {
    const found: LoggedBatch[] = [];
    const records = this.#at(partition);
    let events = 0;
    let due = offset;
    // Before the records, so that it is not newer than they are.
    const end = this.#endOf(partition);
    for (const { key, value } of records.getRange({ start: offset })) {
      if (key !== due) throw new OffsetOutOfRange(partition, due, key);
      let at = key;
      for (const batch of value) {
        const next = at + widthOf(batch);
        found.push({ partition, offset: at, next, batch });
        at = next;
      }
      due = at;
      events += at - key;
      if (events >= eventsMax) break;
    }
    // A repair could not read the newest records.
    if (found.length === 0 && due < end) throw new OffsetOutOfRange(partition, due, end);
    return found;
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
    const groups = this.consumers.groups();
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

  /** Checks batches and groups them by partition. @throws when a batch leaves a gap; then none is written */
  #prepare(batches: readonly EventBatch[]): Writing {
    const heads = new Map<ZoneAddress, Head>();
    const groups: (EventBatch[] | undefined)[] = [];
    const before = this.#ends;
    const ends = [...before];
    const outcome = batches.map((batch): Appended => {
      const head = heads.get(batch.zone) ?? this.#headOf(batch.zone);
      const rest = admit(batch, head);
      if (rest === 'stale') return 'stale';
      if (rest === 'known') return { at: head.at };
      const index = partitionIndex(batch.zone);
      const group = groups[index];
      if (group) group.push(rest);
      else groups[index] = [rest];
      const at = before[index] ?? 0;
      ends[index] = (ends[index] ?? 0) + widthOf(rest);
      heads.set(batch.zone, { epoch: writerOf(batch), seq: lastSeqOf(rest), at });
      return { at };
    });
    return { outcome, groups, heads, before, ends };
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

  /** Updates the cached ends, and drops the cached heads, if another process has written. */
  #refresh(): void {
    const entry = this.#state.getEntry(STATE);
    if (entry?.version === undefined) throw new Error('the log has lost its state entry');
    if (entry.version === this.#version) return;
    this.#version = entry.version;
    this.#ends = entry.value;
    this.#known.clear();
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
