import { type EventBatch, lastSeqOf } from '@millrace/kernel';
import type { RetentionRule } from '@millrace/log';
import type { ShardBroker } from './shard-broker.ts';
import { shardStart } from './shard-reader.ts';
import type { ShardRecord } from './shard-records.ts';
import { readFetched } from './shard-tail.ts';

const READ_BYTES_MAX = 4 * 2 ** 20;
/** Places at which the size of records is looked at, and bytes that are read at each. */
const SAMPLES = 4;
const SAMPLE_BYTES = 2 ** 18;

/** What decides which records of a shard may be deleted. */
export interface ShardRetention {
  readonly rule: RetentionRule;
  /** Epoch ms. */
  readonly now: number;
  /** Offset up to which every consumer group has read. */
  readonly readByAll: number;
  /** Offset of the newest manifest. An owner reads the log from there on, so it may not be cut behind it. */
  readonly manifestAt: number;
  /** Bytes above the limit of the shard; zero or less below it. */
  readonly bytesOver: number;
}

/** Where a shard may be cut, and how many events are before. */
interface Cut {
  readonly offset: number;
  readonly events: number;
}

/**
 * The largest offset before which all records of a shard may be deleted. It is that of a claim or a head, because a reader can begin only there.
 * @returns the start of the shard when nothing may be deleted
 */
export async function cutOf(broker: ShardBroker, shard: number, retention: ShardRetention): Promise<Cut> {
  const start = await shardStart(broker, shard);
  const search = new CutSearch(start.offset, retention);
  for (let cursor = start; cursor.offset < retention.manifestAt; ) {
    const fetched = await broker.fetch(shard, cursor.offset, { maxBytes: READ_BYTES_MAX, waitMs: 0 });
    const sizes = new Map(fetched.records.map(({ offset, value }) => [offset, value?.length ?? 0]));
    const found: FoundRecord[] = [];
    const next = readFetched(cursor, fetched, (record, { offset }) => found.push({ record, offset, bytes: sizes.get(offset) ?? 0 }));
    for (const one of found) if (!(await search.passes(one))) return search.cut;
    if (next.offset === cursor.offset) break;
    cursor = next;
  }
  return search.cut;
}

interface FoundRecord {
  readonly record: ShardRecord;
  readonly offset: number;
  readonly bytes: number;
}

class CutSearch {
  cut: Cut;
  readonly #retention: ShardRetention;
  #events = 0;
  #bytesOver: number;
  /** The last batches are from the future: their time is wrong, and they are at least as old as the next one that is not. */
  #isUndecided = false;
  /** A batch that some group has not read is deleted, because of the size. */
  #isBehindUnread = false;

  constructor(start: number, retention: ShardRetention) {
    this.#retention = retention;
    this.#bytesOver = retention.bytesOver;
    this.cut = { offset: start, events: 0 };
  }

  /** @returns false at the first record that must stay */
  async passes({ record, offset, bytes }: FoundRecord): Promise<boolean> {
    if (offset > this.#retention.manifestAt) return false;
    if (record.kind === 'data') return this.#passesBatch(record.batch, offset, bytes);
    // A group that reads from here on must find the record there.
    if (offset > this.#retention.readByAll && !this.#isBehindUnread) return false;
    if (!this.#isUndecided) this.cut = { offset, events: this.#events };
    return true;
  }

  async #passesBatch(batch: EventBatch, offset: number, bytes: number): Promise<boolean> {
    const { rule, now, readByAll } = this.#retention;
    const isOver = this.#bytesOver > 0;
    const isFuture = batch.time > now;
    const isOld = (isFuture || batch.time < now - rule.olderThanMs) && offset < readByAll;
    if (!isOver && !(isOld && ((await rule.isCovered?.(batch.zone, lastSeqOf(batch))) ?? true))) return false;
    this.#bytesOver -= bytes;
    this.#isBehindUnread ||= offset >= readByAll;
    this.#isUndecided = isFuture && !isOver;
    this.#events += batch.events.length;
    return true;
  }
}

/** Size of the records of a shard, bytes: that of some, times the number of all. @throws BrokerError */
export async function aboutBytesOf(broker: ShardBroker, shard: number, { start, end }: { start: number; end: number }): Promise<number> {
  let records = 0;
  let bytes = 0;
  for (let sample = 0; sample < SAMPLES && start < end; sample++) {
    const offset = start + Math.floor(((end - start) * sample) / SAMPLES);
    const fetched = await broker.fetch(shard, offset, { maxBytes: SAMPLE_BYTES, waitMs: 0 });
    records += fetched.records.length;
    for (const { value } of fetched.records) bytes += value?.length ?? 0;
  }
  return records === 0 ? 0 : (bytes / records) * (end - start);
}
