import type { EventBatch } from '@millrace/kernel';
import { Packr } from 'msgpackr';

/** Begins the epoch of a new owner of a shard. Valid only when `previous` is the current epoch, so of several claims the first in the log wins. */
interface ClaimRecord {
  readonly kind: 'claim';
  readonly epoch: number;
  readonly previous: number;
  /** Random name of the claim. Records of its owner carry it. */
  readonly nonce: string;
}

/** Written by an idle owner, so that the brokers keep its producer state and a reader can begin here. */
interface HeadRecord {
  readonly kind: 'head';
  readonly epoch: number;
  readonly nonce: string;
  /** Index of the next data record of the epoch. */
  readonly index: number;
}

/** Events of one zone. */
export interface DataRecord {
  readonly kind: 'data';
  readonly nonce: string;
  /** Place among the data records of its epoch, from 0. A record at another place is a repeat, or came before its turn. */
  readonly index: number;
  readonly batch: EventBatch;
}

export type ShardRecord = ClaimRecord | HeadRecord | DataRecord;

/** A record as the brokers store it: the key is the address of the zone, null for claims and heads. */
export interface StoredRecord {
  readonly key: Buffer | null;
  readonly value: Buffer;
}

/** Maximum size of a request to the brokers, bytes: the `max.message.bytes` of a topic. */
export const MESSAGE_BYTES_MAX = 16 * 2 ** 20;

/** Plain MessagePack maps: every consumer of the topic can read them, in any language. */
const packr = new Packr({ useRecords: false });

export function encodeRecord(record: ShardRecord): StoredRecord {
  // The encoder reuses its buffer.
  return { key: record.kind === 'data' ? Buffer.from(record.batch.zone) : null, value: Buffer.from(packr.pack(record)) };
}

/** The record, or null when it is not one of ours: another program has written into the topic. */
export function decodeRecord(value: Buffer | null): ShardRecord | null {
  if (value === null) return null;
  try {
    const record = packr.unpack(value) as ShardRecord;
    return isShardRecord(record) ? record : null;
  } catch {
    return null;
  }
}

function isShardRecord(record: unknown): boolean {
  if (typeof record !== 'object' || record === null) return false;
  const { kind, nonce, epoch, previous, index, batch } = record as Record<string, unknown>;
  if (typeof nonce !== 'string') return false;
  if (kind === 'claim') return Number.isSafeInteger(epoch) && Number.isSafeInteger(previous);
  if (kind === 'head') return Number.isSafeInteger(epoch) && Number.isSafeInteger(index);
  return kind === 'data' && Number.isSafeInteger(index) && isBatch(batch as Partial<EventBatch> | null);
}

function isBatch(batch: Partial<EventBatch> | null | undefined): boolean {
  return (
    typeof batch === 'object' &&
    batch !== null &&
    typeof batch.zone === 'string' &&
    Number.isSafeInteger(batch.firstSeq) &&
    Array.isArray(batch.events)
  );
}
