import type { Cursor } from './reader-rule.ts';
import { BrokerError, type ShardBroker } from './shard-broker.ts';
import { readShard, shardStart } from './shard-reader.ts';

/** Cursors kept in memory per shard: consumer groups continue where they ended. */
const KNOWN_MAX = 64;
/** Records between two stored cursors. */
const STORE_EVERY = 1_000;
const READ_BYTES_MAX = 4 * 2 ** 20;

/** Cursors of a topic that outlive the process. They only save time: without them, a shard is read from its start. */
export interface StoredCursors {
  /** The stored cursor with the greatest offset that is not above `offset`; null without any. */
  nearest(shard: number, offset: number): Promise<Cursor | null>;
  save(shard: number, cursors: readonly Cursor[]): Promise<void>;
  /** Deletes those with a smaller offset. */
  forgetBefore(shard: number, offset: number): Promise<void>;
}

/** Finds the cursor of an offset. Consumer groups store offsets only; what decides about the records there is before them in the log. */
export class ShardCursors {
  readonly #broker: ShardBroker;
  readonly #stored: StoredCursors;
  /** By shard and offset, the oldest used first. */
  readonly #known = new Map<number, Map<number, Cursor>>();
  readonly #storedUpTo = new Map<number, number>();

  constructor(broker: ShardBroker, stored: StoredCursors) {
    this.#broker = broker;
    this.#stored = stored;
  }

  /** The cursor at an offset of a shard. @throws BrokerError `out-of-range` when the records there were deleted */
  async at(shard: number, offset: number): Promise<Cursor> {
    const known = this.#known.get(shard)?.get(offset);
    if (known) return known;
    let cursor = await this.#before(shard, offset);
    while (cursor.offset < offset) {
      const { next, lag } = await readShard(this.#broker, shard, cursor, { maxBytes: READ_BYTES_MAX, waitMs: 0, end: offset });
      if (next.offset === cursor.offset) {
        // Offsets may have holes. A leader that has less than was read before is a new one, or not the leader any more.
        if (lag < offset - next.offset) throw new BrokerError('unknown', `the leader of shard ${shard} does not have offset ${offset} yet`);
        break;
      }
      cursor = next;
    }
    cursor = { ...cursor, offset };
    this.keep(shard, cursor);
    return cursor;
  }

  /** Keeps a cursor that a read has reached. */
  keep(shard: number, cursor: Cursor): void {
    const known = this.#known.get(shard) ?? new Map<number, Cursor>();
    this.#known.set(shard, known);
    known.delete(cursor.offset);
    known.set(cursor.offset, cursor);
    const [oldest] = known.keys();
    if (known.size > KNOWN_MAX && oldest !== undefined) known.delete(oldest);
    const before = this.#storedUpTo.get(shard) ?? 0;
    if (cursor.offset - before < STORE_EVERY) return;
    this.#storedUpTo.set(shard, cursor.offset);
    // Without it, the next start reads a little more.
    this.#stored.save(shard, [cursor]).catch(() => this.#storedUpTo.set(shard, before));
  }

  /** Drops the cursors of records that were deleted. */
  async forgetBefore(shard: number, offset: number): Promise<void> {
    for (const known of this.#known.get(shard)?.keys() ?? []) if (known < offset) this.#known.get(shard)?.delete(known);
    await this.#stored.forgetBefore(shard, offset);
  }

  /** The nearest cursor that is not behind an offset. */
  async #before(shard: number, offset: number): Promise<Cursor> {
    const start = await shardStart(this.#broker, shard);
    // A read there reports that the records are deleted.
    if (offset < start.offset) return { ...start, offset };
    const stored = await this.#stored.nearest(shard, offset);
    const candidates = [start, stored, ...(this.#known.get(shard)?.values() ?? [])].filter((one) => one !== null);
    return candidates.reduce((best, one) => (one.offset <= offset && one.offset > best.offset ? one : best), start);
  }
}

/** Cursors that end with the process. */
export class MemoryCursors implements StoredCursors {
  readonly #cursors = new Map<number, Cursor[]>();

  async nearest(shard: number, offset: number): Promise<Cursor | null> {
    return this.#cursors.get(shard)?.findLast((cursor) => cursor.offset <= offset) ?? null;
  }

  async save(shard: number, cursors: readonly Cursor[]): Promise<void> {
    const all = [...(this.#cursors.get(shard) ?? []), ...cursors];
    this.#cursors.set(
      shard,
      all.sort((one, other) => one.offset - other.offset),
    );
  }

  async forgetBefore(shard: number, offset: number): Promise<void> {
    this.#cursors.set(
      shard,
      (this.#cursors.get(shard) ?? []).filter((cursor) => cursor.offset >= offset),
    );
  }
}
