import type { ZoneAddress } from '@millrace/kernel';
import { partOfCommit, StoreWriter } from '@millrace/lmdb/commit';
import { inTransaction, openShared, pauseWrites } from '@millrace/lmdb/open-shared';
import type { RootDatabase, Transaction } from 'lmdb';
import { type IndexedRange, rangesFrom, withRange } from './indexed-ranges.ts';
import type { Cursor } from './reader-rule.ts';
import type { IndexEntries, ZoneIndexStore } from './zone-index.ts';

/** Version of the format. Another one begins anew. */
const VERSION = 1;
/** Entries that are looked at or written in one transaction, in which no other process can write; and what it adds to the file at most, with new pages, bytes. */
const ENTRIES_PER_TRANSACTION = 1_000;
const TRANSACTION_BYTES_MAX = 8 * 2 ** 20;
/** What is before the start of a shard is removed when the start has moved so far: by this many records, and by this share of the indexed ones. */
const REMOVED_RECORDS_MIN = 100_000;
const REMOVED_SHARE_MIN = 0.1;
const ABOUT: Key = ['about'];

type Key = (string | number)[];
type StoredCursor = readonly [offset: number, epoch: number, nonce: string, index: number];
type StoredRange = readonly [from: number, to: StoredCursor];

const rangesKey = (shard: number): Key => [shard, 'ranges'];
const newestKey = (shard: number, zone = ''): Key => [shard, 'newest', zone];
const removedKey = (shard: number): Key => [shard, 'removed'];
const placeKey = (shard: number, zone: ZoneAddress, seq: number): Key => [shard, 'place', zone, seq];

/**
 * The index of the zones of a topic in an LMDB file. If other processes write to it, open it within `pauseWrites`. A place takes about 400 bytes of the file.
 */
export class LmdbZoneIndex implements ZoneIndexStore {
  readonly #entries: RootDatabase<unknown, Key>;
  readonly #writer: StoreWriter;
  readonly #ready: Promise<void>;
  readonly #removedRecordsMin: number;

  /**
   * @param folder created if missing
   * @param topicId what the folder has of a topic with another id is deleted
   * @param removedRecordsMin see `REMOVED_RECORDS_MIN`
   * @throws when there is no store yet, and its creation could fill the disk
   */
  constructor(folder: string, topicId: string, removedRecordsMin = REMOVED_RECORDS_MIN) {
    this.#removedRecordsMin = removedRecordsMin;
    this.#entries = openShared<unknown, Key>(folder);
    this.#writer = new StoreWriter('the index of the zones', folder);
    this.#ready = this.#requireTopic(`${VERSION} ${topicId}`);
    this.#ready.catch(() => {});
  }

  async ranges(shard: number): Promise<IndexedRange[]> {
    await this.#ready;
    return this.#rangesOf(shard);
  }

  async find(shard: number, zone: ZoneAddress, seq: number) {
    await this.#ready;
    // biome-ignore lint/correctness/useHookAtTopLevel: no hook of React, but a read transaction of LMDB.
    const transaction = this.#entries.useReadTransaction();
    try {
      const [place] = this.#entries.getRange({
        ...{ start: placeKey(shard, zone, seq), end: [shard, 'place', zone], reverse: true, limit: 1, transaction },
      });
      const newest = this.#entries.get(newestKey(shard, zone), { transaction }) as number | undefined;
      const ranges = this.#rangesOf(shard, transaction);
      return {
        place: place ? { firstSeq: place.key[3] as number, at: cursorOf(place.value as StoredCursor) } : null,
        newest: newest ?? null,
        ranges,
      };
    } finally {
      transaction.done();
    }
  }

  async add(entries: readonly IndexEntries[]): Promise<void> {
    let part: (() => void)[] = [];
    const store = async () => {
      const work = part;
      part = [];
      await this.#change(() => {
        for (const one of work) one();
      });
    };
    for (const one of entries) {
      for (const change of this.#changesOf(one)) {
        part.push(change);
        if (part.length >= ENTRIES_PER_TRANSACTION) await store();
      }
    }
    if (part.length > 0) await store();
  }

  /** The ranges are the last one: before them, the rest changes nothing that a read skips. */
  *#changesOf({ shard, ranges, newest, places }: IndexEntries): Generator<() => void> {
    for (const [zone, offset] of newest)
      yield () => {
        if (((this.#entries.get(newestKey(shard, zone)) as number | undefined) ?? -1) < offset) this.#put(newestKey(shard, zone), offset);
      };
    for (const { zone, place } of places)
      yield () => {
        const key = placeKey(shard, zone, place.firstSeq);
        const known = this.#entries.get(key) as StoredCursor | undefined;
        // Other processes pass the same places.
        if (String(known) !== String(storedOf(place.at))) this.#put(key, storedOf(place.at));
      };
    yield () => {
      let stored = this.#rangesOf(shard);
      for (const range of ranges) stored = withRange(stored, range);
      this.#putRanges(shard, stored);
    };
  }

  async forgetBefore(shard: number, offset: number, isStopping: () => boolean): Promise<void> {
    const before = await this.ranges(shard);
    if (before.length === 0) return;
    const end = before.at(-1)?.to.offset ?? 0;
    const removed = (this.#entries.get(removedKey(shard)) as number | undefined) ?? 0;
    const isWorthIt = offset - removed >= Math.max(this.#removedRecordsMin, (end - removed) * REMOVED_SHARE_MIN);
    await this.#change(() => {
      this.#putRanges(shard, rangesFrom(this.#rangesOf(shard), offset));
      // By this process: others leave it to this one.
      if (isWorthIt) this.#put(removedKey(shard), offset);
    });
    if (isWorthIt) await this.#removeBefore(shard, offset, isStopping);
  }

  async clear(): Promise<void> {
    await this.#ready;
    const about = this.#entries.get(ABOUT);
    await this.#change(() => this.#beginAnew(about));
  }

  /** Blocks writes of every process while `work` runs. Another process may open the store only during that time. */
  pauseWrites(work: () => Promise<void>): Promise<void> {
    return pauseWrites(this.#entries, work);
  }

  async close(): Promise<void> {
    await this.#ready.catch(() => {});
    await this.#entries.close();
  }

  async #requireTopic(about: string): Promise<void> {
    if (this.#entries.get(ABOUT) === about) return;
    await this.#writer.commit(() =>
      inTransaction(this.#entries, () => {
        if (this.#entries.get(ABOUT) === about) return;
        this.#beginAnew(about);
      }),
    );
  }

  #beginAnew(about: unknown): void {
    this.#entries.clearSync();
    this.#put(ABOUT, about);
  }

  /** Removes the places and newest offsets of a shard that are before an offset, in parts. */
  async #removeBefore(shard: number, offset: number, isStopping: () => boolean): Promise<void> {
    for (let start: Key | null = newestKey(shard); start !== null && !isStopping(); ) {
      const from: Key = start;
      start = null;
      await this.#change(() => {
        const part = [...this.#entries.getRange({ start: from, end: rangesKey(shard), limit: ENTRIES_PER_TRANSACTION })];
        for (const { key, value } of part)
          if ((typeof value === 'number' ? value : (value as StoredCursor)[0]) < offset) partOfCommit(this.#entries.remove(key));
        if (part.length === ENTRIES_PER_TRANSACTION) start = part.at(-1)?.key ?? null;
      });
    }
  }

  async #change(work: () => void): Promise<void> {
    await this.#ready;
    await this.#writer.commit(() => inTransaction(this.#entries, work), TRANSACTION_BYTES_MAX);
  }

  #putRanges(shard: number, ranges: readonly IndexedRange[]): void {
    this.#put(
      rangesKey(shard),
      ranges.map(({ from, to }): StoredRange => [from, storedOf(to)]),
    );
  }

  #put(key: Key, value: unknown): void {
    partOfCommit(this.#entries.put(key, value));
  }

  #rangesOf(shard: number, transaction?: Transaction): IndexedRange[] {
    const stored = this.#entries.get(rangesKey(shard), transaction ? { transaction } : {}) as StoredRange[] | undefined;
    return (stored ?? []).map(([from, to]) => ({ from, to: cursorOf(to) }));
  }
}

function storedOf({ offset, epoch, nonce, index }: Cursor): StoredCursor {
  return [offset, epoch, nonce, index];
}

function cursorOf([offset, epoch, nonce, index]: StoredCursor): Cursor {
  return { offset, epoch, nonce, index };
}
