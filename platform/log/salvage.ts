import { join } from 'node:path';
import type { EventBatch } from '@millrace/kernel';
import { type Node, PageFile } from '@millrace/lmdb';
import { bufferToKeyValue } from 'lmdb';
import { Packr } from 'msgpackr';
import type { StoredGroup } from './lmdb-consumers.ts';
import type { DeadEventKey, DeadEventPlace, StoredDeadLetter } from './lmdb-dead-letters.ts';
import { STARTS, STATE } from './lmdb-log.ts';
import type { Owner } from './lmdb-writer.ts';
import type { Head } from './lmdb-writes.ts';
import { PARTITIONS, partitionIndex, SHAPES, SHARED_SHAPES_MAX, widthOf } from './partitions.ts';

declare module 'lmdb' {
  /** Decodes a key. lmdb exports it without a type. */
  export function bufferToKeyValue(key: Buffer): unknown;
}

/** First byte of an encoded symbol key. */
const SYMBOL_KEY = 0x02;
/** The version of an entry comes before its value. */
const VERSION_BYTES = 8;

/** The readable data of a damaged log. */
export interface Salvaged {
  /** Offsets of the records of each partition, ascending. */
  readonly offsets: readonly (readonly number[])[];
  /** Next offset of each partition, if it could be read; else 0. */
  readonly ends: readonly number[];
  readonly heads: ReadonlyMap<string, Head>;
  /** The newest owner of each shard. */
  readonly owners: ReadonlyMap<number, Owner>;
  readonly groups: ReadonlyMap<string, StoredGroup>;
  /** May include recently removed ones. */
  readonly deadLetters: ReadonlyMap<number, StoredDeadLetter>;
  /** Every event that was ever a dead letter. */
  readonly deadEvents: ReadonlyMap<string, readonly [key: DeadEventKey, place: DeadEventPlace]>;
  /** Records, each once, in the order of the file. */
  records(): Iterable<{ readonly partition: number; readonly offset: number; readonly batches: EventBatch[] }>;
  close(): void;
}

/**
 * Reads all readable pages of a log’s file, whether or not the trees still point to them. It does not use LMDB, which would crash the process at the
 * first damaged page. The newest version of each record is used, and none that retention has dropped.
 * @throws when the file cannot be read at all
 */
export function salvageLog(folder: string): Salvaged {
  const file = new PageFile(join(folder, 'data.mdb'));
  const pageBytes = file.pageBytes();
  const shapes = shapesIn(file, pageBytes);
  const newest = Array.from({ length: PARTITIONS }, () => new Map<number, number>());
  const small = new SmallEntries();
  for (const node of file.leafNodes(pageBytes)) {
    const found = recordIn(node, shapes);
    if (!found) small.add(node);
    else if ((newest[found.partition]?.get(found.offset) ?? -1) < node.transaction)
      newest[found.partition]?.set(found.offset, node.transaction);
  }
  const offsets = newest.map((records, partition) => {
    const start = small.starts[partition] ?? 0;
    const found = [...records.keys()].sort((one, other) => one - other);
    // Retention always leaves one record. A start after all of them is damaged, or they are.
    const dropped = start > (found.at(-1) ?? 0) ? [] : found.filter((offset) => offset < start);
    for (const offset of dropped) records.delete(offset);
    return found.slice(dropped.length);
  });
  return {
    offsets,
    ends: small.ends,
    heads: small.heads,
    owners: small.owners,
    groups: small.groups,
    deadLetters: small.deadLetters,
    deadEvents: small.deadEvents,
    *records() {
      const given = newest.map(() => new Set<number>());
      for (const node of file.leafNodes(pageBytes)) {
        const found = recordIn(node, shapes);
        if (!found || newest[found.partition]?.get(found.offset) !== node.transaction || given[found.partition]?.has(found.offset))
          continue;
        given[found.partition]?.add(found.offset);
        yield found;
      }
    },
    close: () => file.close(),
  };
}

/**
 * The shapes of each partition’s events, which decoding its records requires. A page does not contain the name of its tree; the zones of the records next
 * to the shapes identify the partition.
 */
function shapesIn(file: PageFile, pageBytes: number): (Packr | undefined)[] {
  const found: { readonly transaction: number; readonly packr: Packr }[] = [];
  let last: { readonly page: number; readonly transaction: number; readonly packr: Packr } | null = null;
  for (const node of file.leafNodes(pageBytes)) {
    if (node.key[0] === SYMBOL_KEY && node.key.subarray(1).toString() === SHAPES) {
      const structures = decoded(new Packr(), node.value);
      const options = { structures: structures as object[], maxSharedStructures: SHARED_SHAPES_MAX };
      last = Array.isArray(structures) ? { page: node.page, transaction: node.transaction, packr: new Packr(options) } : null;
      continue;
    }
    if (!last || last.page !== node.page) continue;
    const batches = batchesIn(node.value, last.packr);
    const partition = batches && partitionIndex((batches[0] as EventBatch).zone);
    if (partition === undefined || partition === null) continue;
    if ((found[partition]?.transaction ?? -1) < last.transaction) found[partition] = last;
    last = null;
  }
  return Array.from({ length: PARTITIONS }, (_none, partition) => found[partition]?.packr);
}

function recordIn(
  { key, value }: Node,
  shapes: readonly (Packr | undefined)[],
): { partition: number; offset: number; batches: EventBatch[] } | undefined {
  const offset = keyIn(key);
  if (typeof offset !== 'number') return undefined;
  for (const packr of shapes) {
    const zone = packr && batchesIn(value, packr)?.[0]?.zone;
    if (zone === undefined) continue;
    // The outermost shape may be the same in every partition; the others are not.
    const partition = partitionIndex(zone);
    const own = shapes[partition];
    const batches = own && batchesIn(value, own);
    return batches?.every((batch) => partitionIndex(batch.zone) === partition) ? { partition, offset, batches } : undefined;
  }
  return undefined;
}

function batchesIn(value: Buffer, packr: Packr): EventBatch[] | undefined {
  // Other values may define shapes, which would replace those of the decoder.
  if (!isArray(value)) return undefined;
  const batches = decoded(packr, value);
  return Array.isArray(batches) && batches.length > 0 && batches.every(isBatch) ? batches : undefined;
}

/** Whether an encoded value is an array, by its first byte. */
function isArray([first = 0]: Buffer): boolean {
  return (first >= 0x90 && first <= 0x9f) || first === 0xdc || first === 0xdd;
}

function isBatch(value: unknown): value is EventBatch {
  const { zone, epoch, firstSeq, events } = (value ?? {}) as Partial<EventBatch>;
  return typeof zone === 'string' && Number.isInteger(epoch) && Number.isInteger(firstSeq) && Array.isArray(events);
}

/** The entries of a log other than its records. */
class SmallEntries {
  readonly ends: number[] = Array.from({ length: PARTITIONS }, () => 0);
  readonly starts: number[] = Array.from({ length: PARTITIONS }, () => 0);
  readonly heads = new Map<string, Head>();
  readonly owners = new Map<number, Owner>();
  readonly groups = new Map<string, StoredGroup>();
  readonly deadLetters = new Map<number, StoredDeadLetter>();
  readonly deadEvents = new Map<string, readonly [DeadEventKey, DeadEventPlace]>();
  /** Transaction of each entry, by its key: the newest version of an entry is used. */
  readonly #transactions = new Map<string, number>();
  readonly #packr = new Packr();

  add({ key: bytes, value: content, transaction }: Node): void {
    const key = keyIn(bytes);
    if (key === STATE || key === STARTS) {
      const known = key === STATE ? this.ends : this.starts;
      const offsets = decoded(this.#packr, content.subarray(VERSION_BYTES));
      // They never go back: of the versions in the file, the highest is the newest.
      if (Array.isArray(offsets)) for (const [index, at] of offsets.entries()) known[index] = Math.max(known[index] ?? 0, Number(at));
      return;
    }
    const value = (decoded(this.#packr, content) ?? {}) as Partial<Head & Owner & StoredGroup & StoredDeadLetter & DeadEventPlace>;
    const { epoch, seq, at, name, offsets, gaps, letter, batch, partition, offset } = value;
    if (typeof key === 'string' && epoch !== undefined && seq !== undefined && at !== undefined) {
      const known = this.heads.get(key);
      if (!known || known.epoch < epoch || (known.epoch === epoch && known.seq < seq)) this.heads.set(key, { epoch, seq, at });
    } else if (typeof key === 'number' && epoch !== undefined && typeof name === 'string') {
      if ((this.owners.get(key)?.epoch ?? -1) < epoch) this.owners.set(key, { epoch, name });
    } else if (typeof key === 'string' && Array.isArray(offsets) && this.#isNewest(`group ${key}`, transaction)) {
      this.groups.set(key, { offsets, gaps: gaps ?? [] });
    } else if (typeof key === 'number' && letter && isBatch(batch) && this.#isNewest(`dead letter ${key}`, transaction)) {
      this.deadLetters.set(key, { letter, batch });
    } else if (isDeadEventKey(key) && partition !== undefined && offset !== undefined) {
      const text = JSON.stringify(key);
      if (this.#isNewest(text, transaction)) this.deadEvents.set(text, [key, value as DeadEventPlace]);
    }
  }

  #isNewest(entry: string, transaction: number): boolean {
    if ((this.#transactions.get(entry) ?? -1) >= transaction) return false;
    this.#transactions.set(entry, transaction);
    return true;
  }
}

function isDeadEventKey(key: unknown): key is DeadEventKey {
  return Array.isArray(key) && typeof key[0] === 'string' && typeof key[1] === 'string' && typeof key[2] === 'number';
}

function keyIn(bytes: Buffer): unknown {
  try {
    return bufferToKeyValue(bytes);
  } catch {
    return undefined;
  }
}

function decoded(packr: Packr, bytes: Buffer): unknown {
  try {
    return packr.unpack(bytes);
  } catch {
    return undefined;
  }
}

/** Ranges of missing records, by offset. The range before the first record is not included: retention may have dropped it, and always leaves one record. */
export function gapsIn(records: ReadonlyMap<number, number>, end: number): { readonly from: number; readonly to: number }[] {
  const gaps: { from: number; to: number }[] = [];
  const offsets = [...records.keys()].sort((one, other) => one - other);
  let due = offsets[0] ?? 0;
  for (const offset of offsets) {
    if (offset > due) gaps.push({ from: due, to: offset });
    due = offset + (records.get(offset) ?? 0);
  }
  if (end > due) gaps.push({ from: due, to: end });
  return gaps;
}

/** Offsets that a record takes up. */
export const widthOfRecord = (batches: readonly EventBatch[]) => batches.reduce((sum, batch) => sum + widthOf(batch), 0);
