import { PassedRange, type ReadBatch } from './indexed-ranges.ts';
import { type Cursor, cursorAtStart, SHARD_START } from './reader-rule.ts';
import type { ShardBroker } from './shard-broker.ts';
import { decodeRecord } from './shard-records.ts';
import { readFetched } from './shard-tail.ts';

/** What a read gives: valid batches only, and where to continue. `lag` is the number of records after `next`, those that are not valid included. */
export interface ShardRead {
  readonly batches: readonly ReadBatch[];
  readonly next: Cursor;
  /** The records that were read. */
  readonly range: PassedRange;
  readonly lag: number;
}

/**
 * Reads a shard from a cursor, up to the offset `end` at most. Whatever cursor a reader begins at, it gets the same batches after it.
 * @throws BrokerError `out-of-range` when the records there were deleted; see `shardStart`
 */
export async function readShard(
  broker: ShardBroker,
  shard: number,
  from: Cursor,
  limits: { readonly maxBytes: number; readonly waitMs: number; readonly end?: number },
): Promise<ShardRead> {
  const { end = Number.POSITIVE_INFINITY } = limits;
  const response = await broker.fetch(shard, from.offset, limits);
  const fetched = { ...response, records: response.records.filter(({ offset }) => offset < end) };
  const batches: ReadBatch[] = [];
  const range = new PassedRange(from);
  const next = readFetched(from, fetched, (record, at) => {
    range.note(record, at);
    if (record.kind === 'data') batches.push({ at, batch: record.batch });
  });
  range.end = next;
  return { batches, next, range, lag: Math.max(0, fetched.highWatermark - next.offset) };
}

/** The place of the oldest record of a shard. @throws Error when a reader cannot begin there: something else has deleted records */
export async function shardStart(broker: ShardBroker, shard: number): Promise<Cursor> {
  const start = await broker.startOf(shard);
  if (start === 0) return SHARD_START;
  const { records } = await broker.fetch(shard, start, { maxBytes: 1, waitMs: 0 });
  return cursorAtStart(start, decodeRecord(records[0]?.value ?? null));
}
