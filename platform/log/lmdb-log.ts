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
import { committed, partOfCommit } from '@millrace/lmdb/commit';
import { inTransaction, openShared, pauseWrites } from '@millrace/lmdb/open-shared';
import type { Database, RootDatabase } from 'lmdb';
import {
  type ConsumerRegistry,
  type DeadLetterBox,
  type EventLog,
  type LoggedBatch,
  type LogStats,
  OffsetOutOfRange,
  type RetentionRule,
} from './event-log.ts';
import { LmdbConsumers } from './lmdb-consumers.ts';
import { LmdbDeadLetters } from './lmdb-dead-letters.ts';
import { bytesOf, PARTITIONS, partitionIndex, type Records, shapedBy, startOf, widthOf } from './partitions.ts';

/** Records looked at or dropped in one go, so that nothing else waits long. */
const CHUNK_RECORDS = 256;
/** How often a log that someone listens to looks whether another process has appended. */
const LOOK_MS = 20;

/** What the log knows of a zone without reading: whose it is, and how far it goes. */
export interface Head {
  readonly epoch: number;
  readonly seq: number;
  /** Offset of the record that holds `seq`. */
  readonly at: number;
}

/** Key of the one entry that every write changes. */
export const STATE = 'state';
/** After another process has written in between, how long it is taken for likely that it does so again. */
const CONTENDED_MS = 500;

const DATABASES_MAX = 16;
const NO_HEAD: Head = { epoch: 0, seq: 0, at: 0 };

/**
 * The event log in an LMDB file: one record for each group of batches and partition, keyed by the offset of its first
 * event. An append is a group commit. Several processes may have it open:
 * what decides about a batch (whose zone it is, which seq is due, where the partition ends) is read in the transaction that writes it.
 * @param folder where `data.mdb` is, made if missing
 * @throws when the folder cannot be written
 */
export function openLmdbLog(folder: string): EventLog {
  return logIn(openShared(folder, { maxDbs: DATABASES_MAX }));
}

/** The log in an LMDB environment that is open. */
export function logIn(root: RootDatabase): EventLog {
  return new LmdbLog(
    root,
    Array.from({ length: PARTITIONS }, (_none, index) => root.openDB<EventBatch[], number>(shapedBy(`events-${index}`))),
  );
}

/** Where each partition ends: the offset of its next event. */
type Ends = readonly number[];

/** What is put at once, when what was judged by still holds. */
interface Writing {
  readonly outcome: Appended[];
  readonly groups: readonly (EventBatch[] | undefined)[];
  readonly heads: ReadonlyMap<ZoneAddress, Head>;
  readonly before: Ends;
  readonly ends: Ends;
}

class LmdbLog implements EventLog {
  readonly partitions = PARTITIONS;
  readonly deadLetters: DeadLetterBox;
  readonly consumers: ConsumerRegistry;
  readonly #root: RootDatabase;
  readonly #records: readonly Records[];
  readonly #heads: Database<Head, string>;
  /** One entry; its version is raised by every claim and every append, of whichever process. */
  readonly #state: Database<Ends, string>;
  /** What is known of the log, as of this version. */
  #version = 0;
  #ends: Ends = [];
  readonly #known = new Map<ZoneAddress, Head>();
  #contendedUntil = 0;
  #appending: Promise<unknown> = Promise.resolve();
  readonly #listeners = new Set<() => void>();
  #look: NodeJS.Timeout | null = null;
  #seen = 0;

  constructor(root: RootDatabase, records: readonly Records[]) {
    this.#root = root;
    this.#records = records;
    this.#heads = root.openDB<Head, string>({ name: 'heads' });
    this.#state = root.openDB<Ends, string>({ name: 'state', useVersions: true });
    this.deadLetters = new LmdbDeadLetters(root, (partition) => {
      const of = records[partition];
      return (of && startOf(of)) ?? 0;
    });
    this.consumers = new LmdbConsumers(root);
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
    return this.#alone(async () => {
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

  /** Commits survive this process at once, and the machine once they are flushed; the next commit does not wait for that. */
  async append(batches: readonly EventBatch[], onTaken?: () => void): Promise<Appended[]> {
    const outcome = await this.#alone(() => this.#appendAlone(batches));
    onTaken?.();
    this.#notifyListeners();
    await this.#root.flushed;
    return outcome;
  }

  /**
   * Judges by what this process knows and writes on the condition that it still holds, which costs this thread nothing. When
   * another process has written meanwhile, judges within the transaction: slower, and always right.
   */
  async #appendAlone(batches: readonly EventBatch[]): Promise<Appended[]> {
    if (performance.now() >= this.#contendedUntil) {
      const writing = this.#judge(batches);
      const version = this.#version;
      if (await this.#state.ifVersion(STATE, version, () => this.#put(writing, version + 1))) {
        this.#remember(writing, version + 1);
        return writing.outcome;
      }
      this.#contendedUntil = performance.now() + CONTENDED_MS;
    }
    const { writing, version } = await inTransaction(this.#root, () => {
      this.#refresh();
      const judged = this.#judge(batches);
      this.#put(judged, this.#version + 1);
      return { writing: judged, version: this.#version + 1 };
    });
    this.#remember(writing, version);
    return writing.outcome;
  }

  async *read(zone: ZoneAddress, afterSeq: number, from: LogPosition | null): AsyncIterable<EventBatch> {
    const records = this.#at(partitionIndex(zone));
    this.#lookAnew();
    const head = this.#heads.get(zone) ?? NO_HEAD;
    if (head.seq <= afterSeq) return;
    for (let start = from ?? 0; ; ) {
      let seen = 0;
      for (const { key, value } of records.getRange({ start, limit: CHUNK_RECORDS })) {
        seen++;
        start = key + 1;
        for (const batch of value) if (batch.zone === zone && lastSeqOf(batch) > afterSeq) yield batch;
      }
      if (seen < CHUNK_RECORDS || start > head.at) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async readFrom(partition: number, offset: number, eventsMax: number): Promise<LoggedBatch[]> {
    const found: LoggedBatch[] = [];
    const records = this.#at(partition);
    let events = 0;
    let due = offset;
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
    return found;
  }

  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.#seen = this.#appendedSoFar();
    this.#look ??= setInterval(() => this.#appendedSoFar() > this.#seen && this.#notifyListeners(), LOOK_MS).unref();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0 || !this.#look) return;
      clearInterval(this.#look);
      this.#look = null;
    };
  }

  async retain(rule: RetentionRule, now: number): Promise<number> {
    let dropped = 0;
    this.#lookAnew();
    const groups = this.consumers.groups();
    for (const [index, records] of this.#records.entries()) {
      const readByAll = groups.reduce((least, { offsets }) => Math.min(least, offsets[index] ?? 0), Number.POSITIVE_INFINITY);
      const share = rule.bytesMax / PARTITIONS;
      for (;;) {
        const tooLarge = bytesOf(records) > share;
        const doomed: number[] = [];
        for (const { key, value } of records.getRange({ limit: CHUNK_RECORDS })) {
          const end = key + value.reduce((sum, batch) => sum + widthOf(batch), 0);
          const old = (value.at(-1)?.time ?? 0) < now - rule.olderThanMs && end <= readByAll;
          if (!old && !tooLarge) break;
          if (end >= this.#endOf(index)) break;
          doomed.push(key);
          dropped += end - key;
        }
        if (doomed.length === 0) break;
        const removal = records.batch(() => {
          for (const key of doomed) partOfCommit(records.remove(key));
        });
        await committed('the log', removal);
      }
    }
    return dropped;
  }

  pauseWrites(work: () => Promise<void>): Promise<void> {
    return this.#alone(() => pauseWrites(this.#root, work));
  }

  stats(): LogStats {
    this.#lookAnew();
    return {
      partitions: this.#records.map((records, index) => {
        const end = this.#endOf(index);
        return { start: startOf(records) ?? end, end };
      }),
      bytes: this.#records.reduce((sum, records) => sum + bytesOf(records), 0),
    };
  }

  async close(): Promise<void> {
    if (this.#look) clearInterval(this.#look);
    await this.#appending;
    await this.#root.flushed;
    await this.#root.close();
  }

  /** Sorts batches into their partitions’ groups. @throws when one leaves a gap; then nothing of any is written */
  #judge(batches: readonly EventBatch[]): Writing {
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

  #remember({ heads, ends }: Writing, version: number): void {
    this.#version = version;
    this.#ends = ends;
    for (const [zone, head] of heads) this.#known.set(zone, head);
  }

  /** Another process may have appended: within one turn lmdb goes on showing what it saw first in it. */
  #lookAnew(): void {
    this.#root.resetReadTxn();
  }

  /** Learns what the log holds now. */
  #refresh(): void {
    const entry = this.#state.getEntry(STATE);
    if (entry?.version === undefined) throw new Error('the log has lost its state entry');
    if (entry.version === this.#version) return;
    this.#version = entry.version;
    this.#ends = entry.value;
    this.#known.clear();
  }

  /** One write at a time: each is judged by what the one before has left. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#appending.then(() => committed('the log', work()));
    this.#appending = done.catch(() => {});
    return done;
  }

  #notifyListeners(): void {
    this.#seen = this.#appendedSoFar();
    for (const listener of this.#listeners) listener();
  }

  #appendedSoFar(): number {
    return (this.#state.get(STATE) ?? []).reduce((sum, end) => sum + end, 0);
  }

  #headOf(zone: ZoneAddress): Head {
    const known = this.#known.get(zone);
    if (known) return known;
    const head = this.#heads.get(zone) ?? NO_HEAD;
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
