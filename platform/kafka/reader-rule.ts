import type { ShardRecord } from './shard-records.ts';

/**
 * A place in a shard between two records, with what decides whether the next record is valid. Two readers that reach the same offset have the same
 * cursor, wherever they began.
 */
export interface Cursor {
  /** Offset of the next record. */
  readonly offset: number;
  /** Epoch and nonce of the newest valid claim before it; 0 and '' before the first claim. */
  readonly epoch: number;
  readonly nonce: string;
  /** Index of the next valid data record of the epoch. */
  readonly index: number;
}

export const SHARD_START: Cursor = { offset: 0, epoch: 0, nonce: '', index: 0 };

/**
 * Whether a record of a shard is valid. Brokers alone do not keep a stopped owner from writing: a leader without producer state accepts every
 * epoch and sequence. The order of the log decides instead, by this rule, and every reader uses it.
 *
 * - A claim is valid if it follows the current epoch with a higher one. Of several, the first wins.
 * - Data is valid if it has the nonce of the valid claim, and is the next record of its owner. Repeats and records that came before their turn are not.
 * - A head is valid under the same condition, and if it has the current epoch. It changes nothing.
 */
export function isValid(record: ShardRecord | null, { epoch, nonce, index }: Cursor): boolean {
  if (record === null) return false;
  if (record.kind === 'claim') return record.previous === epoch && record.epoch > epoch;
  if (record.kind === 'head' && record.epoch !== epoch) return false;
  return record.nonce === nonce && record.index === index;
}

/** The cursor after the record at `cursor.offset`. */
export function afterRecord(record: ShardRecord | null, cursor: Cursor): Cursor {
  const offset = cursor.offset + 1;
  if (record === null || !isValid(record, cursor)) return { ...cursor, offset };
  if (record.kind === 'claim') return { offset, epoch: record.epoch, nonce: record.nonce, index: 0 };
  return record.kind === 'data' ? { ...cursor, offset, index: cursor.index + 1 } : { ...cursor, offset };
}

/**
 * The cursor before the oldest record of a shard. The log is only cut before a valid claim or head, so that its oldest record tells the epoch.
 * @throws Error when the oldest record is another one
 */
export function cursorAtStart(offset: number, oldest: ShardRecord | null): Cursor {
  if (offset === 0) return SHARD_START;
  if (oldest?.kind === 'claim') return { offset, epoch: oldest.previous, nonce: '', index: 0 };
  if (oldest?.kind === 'head') return { offset, epoch: oldest.epoch, nonce: oldest.nonce, index: oldest.index };
  throw new Error(
    `the shard begins at offset ${offset} with ${oldest ? 'data' : 'a record of another program'}, not with a claim or a head: something other than ` +
      'Millrace has deleted records. Set cleanup.policy=delete, retention.ms=-1 and retention.bytes=-1 for the topic, and restore the snapshots of its zones.',
  );
}
