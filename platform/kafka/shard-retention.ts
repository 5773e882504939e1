import { type EventBatch, lastSeqOf } from '@millrace/kernel';
import type { RetentionRule } from '@millrace/log';
import type { ShardBroker } from './shard-broker.ts';
import { shardStart } from './shard-reader.ts';
import type { ShardRecord } from './shard-records.ts';
import { readFetched } from './shard-tail.ts';

const READ_BYTES_MAX = 4 * 2 ** 20;

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
    const found: { readonly record: ShardRecord; readonly offset: number }[] = [];
    const next = readFetched(cursor, fetched, (record, { offset }) => found.push({ record, offset }));
    for (const { record, offset } of found) if (!(await search.passes(record, offset))) return search.cut;
    if (next.offset === cursor.offset) break;
    cursor = next;
  }
  return search.cut;
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
  async passes(record: ShardRecord, offset: number): Promise<boolean> {
    if (offset > this.#retention.manifestAt) return false;
    if (record.kind === 'data') return this.#passesBatch(record.batch, offset);
    // A group that reads from here on must find the record there.
    if (offset > this.#retention.readByAll && !this.#isBehindUnread) return false;
    if (!this.#isUndecided) this.cut = { offset, events: this.#events };
    return true;
  }

  async #passesBatch(batch: EventBatch, offset: number): Promise<boolean> {
    const { rule, now, readByAll } = this.#retention;
    const isOver = this.#bytesOver > 0;
    const isFuture = batch.time > now;
    const isOld = (isFuture || batch.time < now - rule.olderThanMs) && offset < readByAll;
    if (!isOver && !(isOld && ((await rule.isCovered?.(batch.zone, lastSeqOf(batch))) ?? true))) return false;
    this.#bytesOver -= bytesOf(batch);
    this.#isBehindUnread ||= offset >= readByAll;
    this.#isUndecided = isFuture && !isOver;
    this.#events += batch.events.length;
    return true;
  }
}

/** About the size of a batch in the log, bytes. */
function bytesOf(batch: EventBatch): number {
  return JSON.stringify(batch).length;
}
