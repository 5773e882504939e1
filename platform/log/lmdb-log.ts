import type { DeadLetter } from '@millrace/contracts';
import { type Appended, after, type Claim, type EventBatch, type LogPosition, lastSeqOf, seedOf, type ZoneAddress } from '@millrace/kernel';
import { type Database, type DatabaseOptions, open, type RootDatabase } from 'lmdb';
import type { DeadLetterBox, EventLog, LogFigures, LoggedBatch, RetentionRule } from './event-log.ts';

/** Enough for one process’s consumers to work side by side; more would only make smaller records. */
const PARTITIONS = 4;
/** Zone heads are written this many events apart; what came after is read from the log at the next start. */
const HEADS_EVERY_EVENTS = 20_000;
/** Records looked at or dropped in one go, so that nothing else waits long. */
const CHUNK_RECORDS = 256;
/** Event shapes that are written by reference. A zone kind has a dozen or two. */
const SHARED_SHAPES_MAX = 1_024;

/** What the log knows of a zone without reading: whose it is, and how far it goes. */
interface Head {
  epoch: number;
  seq: number;
  /** Offset of the record that holds `seq`. */
  at: number;
}

interface Partition {
  readonly records: Database<EventBatch[], number>;
  end: number;
}

/**
 * The event log in an LMDB file: one record for each group of batches and partition, keyed by the offset of its first
 * event. A commit is on disk when its promise resolves, so `append` is a group commit.
 * @param folder where `data.mdb` is, made if missing
 * @throws when the folder cannot be written, or another process writes there
 */
export function openLmdbLog(folder: string): EventLog {
  const root = open({ path: folder, maxDbs: 16, overlappingSync: false, noSubdir: false });
  const partitions: Partition[] = [];
  for (let index = 0; index < PARTITIONS; index++) {
    const records = root.openDB<EventBatch[], number>(shapedBy(`events-${index}`));
    partitions.push({ records, end: endOf(records) });
  }
  return new LmdbLog(root, partitions);
}

/** Shapes of events are stored once, beside the records; lmdb’s types do not know the second option. */
function shapedBy(name: string): DatabaseOptions & { name: string } {
  const options = { name, sharedStructuresKey: Symbol.for('shapes'), maxSharedStructures: SHARED_SHAPES_MAX };
  return options;
}

class LmdbLog implements EventLog {
  readonly partitions = PARTITIONS;
  readonly deadLetters: DeadLetterBox;
  readonly #root: RootDatabase;
  readonly #partitions: Partition[];
  readonly #stored: Database<Head, string>;
  readonly #reached: Database<number, number>;
  readonly #heads = new Map<ZoneAddress, Head>();
  readonly #changed = new Set<ZoneAddress>();
  #eventsSinceHeads = 0;
  #appending: Promise<unknown> = Promise.resolve();
  readonly #listeners = new Set<() => void>();

  constructor(root: RootDatabase, partitions: Partition[]) {
    this.#root = root;
    this.#partitions = partitions;
    this.#stored = root.openDB<Head, string>({ name: 'heads' });
    this.#reached = root.openDB<number, number>({ name: 'heads-reached' });
    this.deadLetters = new LmdbDeadLetters(root);
    this.#readHeads();
  }

  async claim(zone: ZoneAddress): Promise<Claim> {
    const head = this.#headOf(zone);
    head.epoch++;
    await this.#stored.put(zone, { ...head });
    return { epoch: head.epoch, lastSeq: head.seq };
  }

  append(batches: readonly EventBatch[]): Promise<Appended[]> {
    const appended = this.#appending.then(() => this.#appendAlone(batches));
    this.#appending = appended.catch(() => {});
    return appended;
  }

  /** One append at a time: what a failed one had changed here must be taken back before the next is judged. */
  async #appendAlone(batches: readonly EventBatch[]): Promise<Appended[]> {
    const undo: (() => void)[] = [];
    try {
      const outcome: Appended[] = [];
      const groups: (EventBatch[] | undefined)[] = [];
      for (const batch of batches) outcome.push(this.#admit(batch, groups, undo));
      // Writes of one turn of the event loop are one transaction: all partitions or none.
      await Promise.all(groups.map((group, index) => group && this.#write(index, group, undo)));
      if (this.#eventsSinceHeads >= HEADS_EVERY_EVENTS) this.#writeHeads();
      for (const listener of this.#listeners) listener();
      return outcome;
    } catch (error) {
      for (const takeBack of undo.reverse()) takeBack();
      throw error;
    }
  }

  async *read(zone: ZoneAddress, afterSeq: number, from: LogPosition | null): AsyncIterable<EventBatch> {
    const { records } = this.#partitionOf(zone);
    const head = this.#heads.get(zone);
    if (!head || head.seq <= afterSeq) return;
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
    const { records } = this.#at(partition);
    let events = 0;
    for (const { key, value } of records.getRange({ start: offset })) {
      let at = key;
      for (const batch of value) {
        const next = at + widthOf(batch);
        found.push({ partition, offset: at, next, batch });
        at = next;
      }
      events += at - key;
      if (events >= eventsMax) break;
    }
    return found;
  }

  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async retain(rule: RetentionRule, now: number): Promise<number> {
    let dropped = 0;
    for (const [index, partition] of this.#partitions.entries()) {
      const share = rule.bytesMax / this.#partitions.length;
      for (;;) {
        const tooLarge = bytesOf(partition.records) > share;
        const doomed: number[] = [];
        for (const { key, value } of partition.records.getRange({ limit: CHUNK_RECORDS })) {
          const end = key + value.reduce((sum, batch) => sum + widthOf(batch), 0);
          const old = (value.at(-1)?.time ?? 0) < now - rule.olderThanMs && end <= rule.neededFrom(index);
          if (!old && !tooLarge) break;
          if (end >= partition.end) break;
          doomed.push(key);
          dropped += end - key;
        }
        if (doomed.length === 0) break;
        await partition.records.batch(() => {
          for (const key of doomed) void partition.records.remove(key);
        });
      }
    }
    return dropped;
  }

  figures(): LogFigures {
    return {
      partitions: this.#partitions.map(({ records, end }) => ({ start: startOf(records) ?? end, end })),
      bytes: this.#partitions.reduce((sum, { records }) => sum + bytesOf(records), 0),
    };
  }

  async close(): Promise<void> {
    await this.#appending;
    this.#writeHeads();
    await this.#root.flushed;
    await this.#root.close();
  }

  /** Sorts a batch into its partition’s group, unless it is stale or known already. */
  #admit(batch: EventBatch, groups: (EventBatch[] | undefined)[], undo: (() => void)[]): Appended {
    const head = this.#headOf(batch.zone);
    if (batch.epoch < head.epoch) return 'stale';
    const rest = after(batch, head.seq);
    if (!rest) return { at: head.at };
    if (rest.firstSeq !== head.seq + 1)
      throw new Error(`${batch.zone}: the log is at seq ${head.seq}, so seq ${head.seq + 1} is due, but ${rest.firstSeq} came`);
    const index = partitionIndex(batch.zone);
    const group = groups[index];
    if (group) group.push(rest);
    else groups[index] = [rest];
    const before = { ...head };
    undo.push(() => Object.assign(head, before));
    head.epoch = batch.epoch;
    head.seq = lastSeqOf(rest);
    head.at = this.#at(index).end;
    this.#changed.add(batch.zone);
    this.#eventsSinceHeads += rest.events.length;
    return { at: head.at };
  }

  #write(index: number, group: EventBatch[], undo: (() => void)[]): Promise<unknown> {
    const partition = this.#at(index);
    const key = partition.end;
    undo.push(() => {
      partition.end = key;
    });
    for (const batch of group) partition.end += widthOf(batch);
    return partition.records.put(key, group);
  }

  #writeHeads(): void {
    for (const zone of this.#changed) void this.#stored.put(zone, { ...this.#headOf(zone) });
    for (const [index, { end }] of this.#partitions.entries()) void this.#reached.put(index, end);
    this.#changed.clear();
    this.#eventsSinceHeads = 0;
  }

  #readHeads(): void {
    for (const { key, value } of this.#stored.getRange()) this.#heads.set(key, { ...value });
    for (const [index, { records }] of this.#partitions.entries()) {
      for (const { key, value } of records.getRange({ start: this.#reached.get(index) ?? 0 })) {
        for (const batch of value) {
          const head = this.#headOf(batch.zone);
          head.epoch = Math.max(head.epoch, batch.epoch);
          head.seq = lastSeqOf(batch);
          head.at = key;
          this.#changed.add(batch.zone);
        }
      }
    }
  }

  #headOf(zone: ZoneAddress): Head {
    let head = this.#heads.get(zone);
    if (!head) {
      head = { epoch: 0, seq: 0, at: 0 };
      this.#heads.set(zone, head);
    }
    return head;
  }

  #partitionOf(zone: ZoneAddress): Partition {
    return this.#at(partitionIndex(zone));
  }

  #at(index: number): Partition {
    const partition = this.#partitions[index];
    if (!partition) throw new RangeError(`partition ${index} does not exist; there are ${this.#partitions.length}`);
    return partition;
  }
}

class LmdbDeadLetters implements DeadLetterBox {
  readonly #letters: Database<{ letter: DeadLetter; batch: EventBatch }, number>;

  constructor(root: RootDatabase) {
    this.#letters = root.openDB({ name: 'dead-letters' });
  }

  async put(letter: Omit<DeadLetter, 'id'>, batch: EventBatch): Promise<void> {
    const [newest] = this.#letters.getKeys({ reverse: true, limit: 1 });
    const id = (newest ?? 0) + 1;
    await this.#letters.put(id, { letter: { id, ...letter }, batch });
  }

  list(group?: string): DeadLetter[] {
    const letters = [...this.#letters.getRange().map(({ value }) => value.letter)];
    return group === undefined ? letters : letters.filter((letter) => letter.group === group);
  }

  open(id: number): { letter: DeadLetter; batch: EventBatch } | undefined {
    return this.#letters.get(id);
  }

  async remove(id: number): Promise<void> {
    await this.#letters.remove(id);
  }
}

const partitionCache = new Map<ZoneAddress, number>();

function partitionIndex(zone: ZoneAddress): number {
  let index = partitionCache.get(zone);
  if (index === undefined) {
    index = seedOf(zone) % PARTITIONS;
    partitionCache.set(zone, index);
  }
  return index;
}

/** Offsets a batch takes up. One that stands for a loss has no events, and needs a place all the same. */
function widthOf(batch: EventBatch): number {
  return batch.events.length || 1;
}

function startOf(records: Database<EventBatch[], number>): number | undefined {
  const [first] = records.getKeys({ limit: 1 });
  return first;
}

function endOf(records: Database<EventBatch[], number>): number {
  for (const { key, value } of records.getRange({ reverse: true, limit: 1 }))
    return key + value.reduce((sum, batch) => sum + widthOf(batch), 0);
  return 0;
}

function bytesOf(records: Database<EventBatch[], number>): number {
  const stats = records.getStats() as { pageSize: number; treeBranchPageCount: number; treeLeafPageCount: number; overflowPages: number };
  return stats.pageSize * (stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages);
}
