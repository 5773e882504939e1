import { type EventBatch, lastSeqOf } from '@millrace/kernel';
import type { RetentionRule } from './event-log.ts';
import { bytesOf, CHUNK_RECORDS, PARTITIONS, type Records, widthOf } from './partitions.ts';

/** Size of a page of LMDB, bytes. A value that does not fit on half a page has pages of its own. */
const PAGE_BYTES = 4_096;
/** Header of a page, and of an entry with its key, bytes. */
const HEADER_BYTES = 16;

/** What decides which records of a partition are deleted. */
interface RetentionState {
  readonly rule: RetentionRule;
  /** Epoch ms. */
  readonly now: number;
  /** Offset up to which every consumer group has read. */
  readonly readByAll: number;
  /** Offset after the newest record. */
  readonly end: number;
}

/** Some of the oldest records of a partition, with the number of their events and the offset after them. */
export interface Deletable {
  readonly keys: readonly number[];
  readonly events: number;
  readonly start: number;
}

/** Some of the oldest records that a rule deletes; none when there are no more. Never the newest record: it shows where the log ends. */
export async function deletableRecords(records: Records, { rule, now, readByAll, end }: RetentionState): Promise<Deletable> {
  let bytesOver = bytesOf(records) - rule.bytesMax / PARTITIONS;
  const keys: number[] = [];
  let events = 0;
  let kept = 0;
  // Records from the future have a wrong time. They are at least as old as the next record that is not.
  let fromFuture: { key: number; width: number }[] = [];
  for (let start = 0; keys.length === 0; ) {
    const chunk = [...records.getRange({ start, limit: CHUNK_RECORDS })];
    for (const { key, value } of chunk) {
      const width = value.reduce((sum, batch) => sum + widthOf(batch), 0);
      start = key + width;
      const time = value.at(-1)?.time ?? 0;
      const isOld = (time > now || time < now - rule.olderThanMs) && start <= readByAll;
      const isOver = bytesOver > 0;
      if (start >= end || !(isOver || (isOld && (await areCovered(value, rule))))) return { keys, events, start: kept };
      if (isOver) bytesOver -= bytesOfRecord(records, key);
      fromFuture.push({ key, width });
      if (time > now && !isOver) continue;
      for (const record of fromFuture) {
        keys.push(record.key);
        events += record.width;
        kept = record.key + record.width;
      }
      fromFuture = [];
    }
    if (chunk.length < CHUNK_RECORDS) break;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { keys, events, start: kept };
}

/** Size of a record in the pages of its partition, bytes. */
function bytesOfRecord(records: Records, key: number): number {
  const bytes = HEADER_BYTES + (records.getBinary(key)?.length ?? 0);
  return bytes > PAGE_BYTES / 2 ? Math.ceil((bytes + HEADER_BYTES) / PAGE_BYTES) * PAGE_BYTES : bytes;
}

async function areCovered(batches: readonly EventBatch[], { isCovered }: RetentionRule): Promise<boolean> {
  for (const batch of isCovered ? batches : []) if (!(await isCovered?.(batch.zone, lastSeqOf(batch)))) return false;
  return true;
}
