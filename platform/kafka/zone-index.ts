import { type Clock, type LogPosition, messageOf, type ZoneAddress } from '@millrace/kernel';
import { type IndexedRange, type PassedRange, type ReadBatch, withRange } from './indexed-ranges.ts';
import type { Cursor } from './reader-rule.ts';
import { BrokerError, type ShardBroker } from './shard-broker.ts';
import { decodeRecord, type ShardRecord } from './shard-records.ts';

/** Batches of which one is a place in the index, on average. */
const BATCHES_PER_PLACE = 64;
/** Records that a read must save at least to begin at a place or to skip a range: to check that costs a request. */
const SAVED_RECORDS_MIN = 1_000;
/** Time between two writes to the store, ms. */
const WRITE_MS = 10_000;
/** Zones and places that wait for a write, per shard. What is beyond is not indexed. */
const WAITING_MAX = 50_000;
/** Readers of a shard at a time whose ranges are continued. */
const READERS_MAX = 8;

/** Where a batch of a zone is in its shard. */
export interface ZonePlace {
  readonly firstSeq: number;
  readonly at: Cursor;
}

/** What the index has of a shard for one read of a zone. */
interface IndexedZone {
  /** The newest place at or before the wanted seq; null without any. */
  readonly place: ZonePlace | null;
  /** Offset of the newest batch in the ranges, or a later one; null when they have none. */
  readonly newest: number | null;
  readonly ranges: readonly IndexedRange[];
}

/** What is added to the index of a shard at a time. It is complete in itself: `newest` has every zone with a batch in the ranges. */
export interface IndexEntries {
  readonly shard: number;
  readonly ranges: readonly IndexedRange[];
  readonly newest: ReadonlyMap<ZoneAddress, number>;
  readonly places: readonly { readonly zone: ZoneAddress; readonly place: ZonePlace }[];
}

/** Keeps the index of one topic. Several processes may write to it. */
export interface ZoneIndexStore {
  ranges(shard: number): Promise<readonly IndexedRange[]>;
  /** Everything is of one moment. */
  find(shard: number, zone: ZoneAddress, seq: number): Promise<IndexedZone>;
  /** Stores the ranges of a shard only when everything else of it is stored. */
  add(entries: readonly IndexEntries[]): Promise<void>;
  /**
   * Deletes what is before an offset: from the ranges at once; the rest now and then, because that reads the index of the whole shard.
   * @param isStopping looked at between the parts of that
   */
  forgetBefore(shard: number, offset: number, isStopping: () => boolean): Promise<void>;
  /** Blocks writes of every process while `work` runs. Another process may open the store only during that time. */
  pauseWrites(work: () => Promise<void>): Promise<void>;
  /** Deletes everything. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** A part of a shard that a read of a zone has to read: from a position up to the offset `end`. */
export interface ReadPart {
  readonly from: LogPosition | null;
  readonly end: number;
}

export interface ZoneIndexParts {
  readonly store: ZoneIndexStore;
  readonly broker: ShardBroker;
  readonly clock: Clock;
  /** Called for the first failure of the store, and when the index begins anew. It only costs time: reads pass more of the log. */
  readonly onFailure?: (reason: string) => void;
  /** See `SAVED_RECORDS_MIN`, `BATCHES_PER_PLACE`. */
  readonly savedRecordsMin?: number;
  readonly batchesPerPlace?: number;
}

/** What waits to be written, and the readers that continue. */
class WaitingEntries implements IndexEntries {
  readonly shard: number;
  ranges: IndexedRange[] = [];
  readonly newest = new Map<ZoneAddress, number>();
  readonly places: { zone: ZoneAddress; place: ZonePlace }[] = [];

  constructor(shard: number) {
    this.shard = shard;
  }

  get size(): number {
    return this.newest.size + this.places.length + this.ranges.length;
  }
}

/**
 * A sparse index of the batches of each zone in the shards of a topic. It is filled from what is read and appended anyway, and only saves time: whatever part
 * of it exists, a read gives the same batches as without it.
 */
export class ZoneIndex {
  /** Failures of the store. */
  failures = 0;
  /** Entries that the log did not have. */
  refused = 0;
  readonly #parts: ZoneIndexParts;
  readonly #waiting = new Map<number, WaitingEntries>();
  readonly #readers = new Map<number, PassedRange[]>();
  /** Offset that is known to be at or before the start of a shard; and up to where the store has forgotten. */
  readonly #starts = new Map<number, number>();
  readonly #forgotten = new Map<number, number>();
  readonly #checked = new Map<number, Promise<void>>();
  #cancelWrite: (() => void) | null = null;
  #writing: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(parts: ZoneIndexParts) {
    this.#parts = parts;
  }

  /** Notes what a reader or an owner has passed. */
  passed(shard: number, batches: readonly ReadBatch[], range: PassedRange): void {
    if (this.#isClosed) return;
    const proven = this.#continued(shard, range).take();
    const waiting = this.#waiting.get(shard) ?? new WaitingEntries(shard);
    this.#waiting.set(shard, waiting);
    // Without its range, a batch need not be known.
    if (waiting.size > WAITING_MAX) return;
    if (proven) waiting.ranges = withRange(waiting.ranges, proven);
    for (const { at, batch } of batches) {
      const { zone, firstSeq } = batch;
      waiting.newest.set(zone, Math.max(waiting.newest.get(zone) ?? 0, at.offset));
      if (firstSeq === 1 || this.#isPlace(at.offset)) waiting.places.push({ zone, place: { firstSeq, at } });
    }
    if (waiting.size > 0) this.#writeSoon();
  }

  /** Notes that the records before an offset were deleted. */
  noteStart(shard: number, offset: number): void {
    if (this.#isClosed || offset <= (this.#starts.get(shard) ?? 0)) return;
    this.#starts.set(shard, offset);
    this.#writeSoon();
  }

  /**
   * The parts of the shard that may have batches of a zone with events after `afterSeq`, in order. Never rejects: without the index, that is all from `from` on.
   * @param from null is the start of the shard
   */
  async partsOf(shard: number, zone: ZoneAddress, afterSeq: number, from: LogPosition | null): Promise<readonly ReadPart[]> {
    try {
      return await this.#partsOf(shard, zone, afterSeq, typeof from === 'number' ? null : from);
    } catch (error) {
      this.#noteFailure(error);
      return [{ from, end: Number.POSITIVE_INFINITY }];
    }
  }

  /** Resolves when everything that was passed until now is stored, or has failed to be. */
  async written(): Promise<void> {
    this.#cancelWrite?.();
    this.#cancelWrite = null;
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
  }

  /** See `ZoneIndexStore`. Runs the work in any case. */
  async pauseWrites(work: () => Promise<void>): Promise<void> {
    let hasBegun = false;
    const begun = () => {
      hasBegun = true;
      return work();
    };
    try {
      await this.#parts.store.pauseWrites(begun);
    } catch (error) {
      if (hasBegun) throw error;
      this.#noteFailure(error);
      await work();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.written();
    await this.#parts.store.close();
  }

  async #partsOf(shard: number, zone: ZoneAddress, afterSeq: number, from: Exclude<LogPosition, number> | null): Promise<ReadPart[]> {
    const { store, savedRecordsMin = SAVED_RECORDS_MIN } = this.#parts;
    await this.#requireChecked(shard);
    const { place, newest, ranges } = await store.find(shard, zone, afterSeq + 1);
    let begin: { readonly at: LogPosition | null; readonly offset: number } = {
      at: from,
      offset: Math.max(from?.offset ?? 0, this.#starts.get(shard) ?? 0),
    };
    // The batches of a zone have each seq once and in order, so those before the place have no event after `afterSeq`.
    if (place && place.at.offset - begin.offset >= savedRecordsMin && (await this.#isThere(shard, zone, place)))
      begin = { at: place.at, offset: place.at.offset };
    const rest = Math.max(begin.offset, newest === null ? 0 : newest + 1);
    const skipped = ranges.find((range) => range.from <= rest && range.to.offset - rest >= savedRecordsMin);
    if (!skipped) return [{ from: begin.at, end: Number.POSITIVE_INFINITY }];
    const after = { from: skipped.to, end: Number.POSITIVE_INFINITY };
    return rest > begin.offset ? [{ from: begin.at, end: rest }, after] : [after];
  }

  /** The range of its reader, with what it has passed now. */
  #continued(shard: number, range: PassedRange): PassedRange {
    const readers = this.#readers.get(shard) ?? [];
    const before = readers.find(({ end }) => isSame(end, range.begin));
    before?.continueWith(range);
    const continued = before ?? range;
    this.#readers.set(shard, [...readers.filter((one) => one !== before), continued].slice(-READERS_MAX));
    return continued;
  }

  /** The same batches for all readers: a place that two of them pass is stored once. */
  #isPlace(offset: number): boolean {
    return scattered(offset) % (this.#parts.batchesPerPlace ?? BATCHES_PER_PLACE) === 0;
  }

  #writeSoon(): void {
    this.#cancelWrite ??= this.#parts.clock.after(WRITE_MS, () => {
      this.#cancelWrite = null;
      this.#writing = this.#writing.then(() => this.#write());
    });
  }

  /** Never rejects: what cannot be written is not in the index. */
  async #write(): Promise<void> {
    const { store } = this.#parts;
    const waiting = [...this.#waiting.values()].filter(({ size }) => size > 0);
    this.#waiting.clear();
    const checked: IndexEntries[] = [];
    for (const entries of waiting)
      await this.#tried(async () => {
        await this.#requireChecked(entries.shard);
        checked.push(entries);
      });
    if (checked.length > 0) await this.#tried(() => store.add(checked));
    for (const [shard, start] of this.#starts) {
      if (this.#isClosed) return;
      if ((this.#forgotten.get(shard) ?? 0) >= start) continue;
      await this.#tried(async () => {
        await store.forgetBefore(shard, start, () => this.#isClosed);
        this.#forgotten.set(shard, start);
      });
    }
  }

  async #tried(work: () => Promise<void>): Promise<void> {
    await work().catch((error) => this.#noteFailure(error));
  }

  #noteFailure(error: unknown): void {
    if (error instanceof BrokerError) return;
    this.failures++;
    if (this.failures === 1) this.#parts.onFailure?.(messageOf(error));
  }

  /**
   * Checks once that the log still has the records that the index of a shard is about: it may have been restored from a backup since.
   * @throws BrokerError when that cannot be known now
   */
  #requireChecked(shard: number): Promise<void> {
    const checked = this.#checked.get(shard) ?? this.#check(shard);
    this.#checked.set(shard, checked);
    checked.catch(() => this.#checked.delete(shard));
    return checked;
  }

  async #check(shard: number): Promise<void> {
    const { store, broker } = this.#parts;
    const ranges = await store.ranges(shard);
    if (ranges.length === 0) return;
    const start = await broker.startOf(shard);
    this.noteStart(shard, start);
    for (const { to } of ranges) {
      if (to.offset <= start) continue;
      const record = await this.#recordAt(shard, to.offset - 1);
      if (record === null || !isRecordBefore(record, to)) return this.#refuse();
    }
  }

  async #isThere(shard: number, zone: ZoneAddress, { firstSeq, at }: ZonePlace): Promise<boolean> {
    const record = await this.#recordAt(shard, at.offset);
    const isSound =
      record?.kind === 'data' &&
      record.nonce === at.nonce &&
      record.index === at.index &&
      record.batch.zone === zone &&
      record.batch.firstSeq === firstSeq;
    if (!isSound && at.offset >= (await this.#parts.broker.startOf(shard))) await this.#refuse();
    return isSound;
  }

  /**
   * @returns null when the log has another kind of record there, or none between others
   * @throws BrokerError when the records before or behind are not known: a new leader may not have told all, and retention may have deleted it
   */
  async #recordAt(shard: number, offset: number): Promise<ShardRecord | null> {
    const { records, highWatermark } = await this.#parts.broker.fetch(shard, offset, { maxBytes: 1, waitMs: 0 });
    if (offset >= highWatermark) throw new BrokerError('unknown', `the log ends at ${highWatermark}, as far as its leader knows`);
    return decodeRecord(records.find((record) => record.offset === offset)?.value ?? null);
  }

  async #refuse(): Promise<void> {
    this.refused++;
    if (this.refused === 1) this.#parts.onFailure?.('it is about other records than the log has, and begins anew');
    await this.#parts.store.clear();
  }
}

function isSame(one: Cursor, other: Cursor): boolean {
  return one.offset === other.offset && one.epoch === other.epoch && one.nonce === other.nonce && one.index === other.index;
}

/** Whether a record is the one after which a cursor stands. */
function isRecordBefore(record: ShardRecord, { nonce, index }: Cursor): boolean {
  if (record.kind === 'claim' || record.nonce !== nonce) return false;
  return (record.kind === 'data' ? record.index + 1 : record.index) === index;
}

/** Mixes the bits of a number (the finalizer of MurmurHash3): zones that append in turn would otherwise all have places, or none. */
function scattered(offset: number): number {
  let bits = (offset % 2 ** 32) | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
