import { seedOf } from '@millrace/base/random';
import type { EventBatch, ZoneAddress } from '@millrace/kernel';
import type { Database, DatabaseOptions } from 'lmdb';
import { type LoggedBatch, type LogRead, OffsetOutOfRange } from './event-log.ts';

/*
 * Partitions of the log in LMDB: a database per partition, with records of batches by the offset of their first event.
 */

/** Number of partitions. More would only make records smaller: the consumers of one process read them all. */
export const PARTITIONS = 4;
/** Maximum number of records that are read or dropped at a time, to keep the event loop responsive. */
export const CHUNK_RECORDS = 256;
/** Event shapes that are written by reference. A zone kind has a dozen or two. */
export const SHARED_SHAPES_MAX = 1_024;
/** Key of the shapes of a partition’s events. */
export const SHAPES = 'shapes';

/** Records of a partition: batches, by the offset of the first event. */
export type Records = Database<EventBatch[], number>;

/** Options of a partition. The shapes of events are stored once, next to the records. The types of lmdb lack the second option. */
export function shapedBy(name: string): DatabaseOptions & { name: string } {
  const options = { name, sharedStructuresKey: Symbol.for(SHAPES), maxSharedStructures: SHARED_SHAPES_MAX };
  return options;
}

/** Cached zones. A cache that is full is emptied: only the zones in use come back. */
export const CACHED_ZONES_MAX = 100_000;

const partitionCache = new Map<ZoneAddress, number>();

/** Index of the partition that has the events of a zone. */
export function partitionIndex(zone: ZoneAddress): number {
  let index = partitionCache.get(zone);
  if (index === undefined) {
    index = seedOf(zone) % PARTITIONS;
    if (partitionCache.size >= CACHED_ZONES_MAX) partitionCache.clear();
    partitionCache.set(zone, index);
  }
  return index;
}

/** Number of offsets that a batch takes. A batch without events represents a lost range, and takes one. */
export function widthOf(batch: EventBatch): number {
  return batch.events.length || 1;
}

/** Offset of the oldest record. Undefined when there is none. */
export function startOf(records: Records): number | undefined {
  const [first] = records.getKeys({ limit: 1 });
  return first;
}

/** Size of the pages of a partition, bytes. */
export function bytesOf(records: Records): number {
  const stats = records.getStats() as { pageSize: number; treeBranchPageCount: number; treeLeafPageCount: number; overflowPages: number };
  return stats.pageSize * (stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages);
}

/**
 * Batches of a partition from an offset on, about `eventsMax` events of them.
 * @param end offset after the newest record, or an earlier one
 * @throws OffsetOutOfRange when the records at the offset were dropped
 */
export function readPartition(
  records: Records,
  {
    partition,
    offset,
    eventsMax,
    end,
  }: { readonly partition: number; readonly offset: number; readonly eventsMax: number; readonly end: number },
): LogRead {
  const found: LoggedBatch[] = [];
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
  // A repair could not read the newest records.
  if (found.length === 0 && due < end) throw new OffsetOutOfRange(partition, due, end);
  return { batches: found, next: due };
}
