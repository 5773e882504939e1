import { type EventBatch, type LogPosition, lastSeqOf, type ZoneAddress } from '@millrace/kernel';
import type { Cursor } from './reader-rule.ts';
import type { ShardBroker } from './shard-broker.ts';
import { readShard, shardStart } from './shard-reader.ts';
import type { ZoneIndex } from './zone-index.ts';

const READ_BYTES_MAX = 4 * 2 ** 20;
const READ_BYTES_MIN = 2 ** 16;
/** Size of a record, bytes, to request no more than the records that are wanted. Larger ones take more requests. */
const RECORD_BYTES = 2 ** 10;

/** A read of the batches of one zone. */
interface ZoneRead {
  readonly zone: ZoneAddress;
  readonly afterSeq: number;
  from: LogPosition | null;
  /** Offset up to which it wants the log. */
  readonly end: number;
  /** Batches that the reader has not begun to take. */
  found: EventBatch[];
  /** Whether the reader still takes earlier batches. */
  isTaking: boolean;
  /** Whether the pass went on without this read, because its reader is slow. */
  isLeft: boolean;
  isDone: boolean;
  failure: unknown;
  changed: PromiseWithResolvers<void>;
}

/**
 * Reads zones of one shard. Reads at the same time share one pass through the log, because all zones of a shard read it when a host takes the shard over.
 * A pass does not wait for slow readers: they get the rest from a later one.
 */
export class SharedReads {
  readonly #broker: ShardBroker;
  readonly #shard: number;
  readonly #index: Pick<ZoneIndex, 'passed' | 'noteStart'> | undefined;
  /** Reads of the pass in progress, by zone. */
  readonly #inPass = new Map<ZoneAddress, Set<ZoneRead>>();
  /** Reads of the next pass. */
  #waiting: ZoneRead[] = [];
  #isRunning = false;
  /** Place of the pass in progress. */
  #cursor: Cursor | null = null;
  /** Whether reads have joined the pass since its last request. */
  #hasJoined = false;

  constructor(broker: ShardBroker, shard: number, index?: Pick<ZoneIndex, 'passed' | 'noteStart'>) {
    this.#broker = broker;
    this.#index = index;
    this.#shard = shard;
  }

  /** The batches of a zone with events after `afterSeq`, in order, from a position on, up to the offset `end`. @throws BrokerError */
  async *read(zone: ZoneAddress, afterSeq: number, from: LogPosition | null, end = Number.POSITIVE_INFINITY): AsyncGenerator<EventBatch> {
    const read: ZoneRead = {
      ...{ zone, afterSeq, from, end, found: [], isTaking: false, isLeft: false, isDone: false, failure: null },
      changed: Promise.withResolvers(),
    };
    this.#begin(read);
    for (;;) {
      const { found } = read;
      read.found = [];
      read.isTaking = true;
      // A reader that wants no more never ends this, and counts as a slow one.
      yield* found;
      read.isTaking = false;
      if (read.found.length > 0) continue;
      if (read.failure !== null) throw read.failure;
      if (read.isDone) return;
      if (read.isLeft) this.#begin(read);
      await read.changed.promise;
    }
  }

  /** Adds a read to the pass in progress, if that has not passed its position, else to the next one. */
  #begin(read: ZoneRead): void {
    const { from } = read;
    read.isLeft = false;
    read.changed = Promise.withResolvers();
    if (this.#cursor && typeof from === 'object' && from !== null && this.#cursor.offset <= from.offset) {
      this.#join(read);
      this.#hasJoined = true;
      return;
    }
    this.#waiting.push(read);
    void this.#run();
  }

  /** Makes passes until no read waits. Never rejects. */
  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      const failure = await this.#pass().then(
        () => null,
        (error: unknown) => error,
      );
      this.#cursor = null;
      for (const ofZone of this.#inPass.values()) for (const read of ofZone) end(read, failure);
      this.#inPass.clear();
    }
    this.#isRunning = false;
  }

  /** Reads the log once for all reads that wait. */
  async #pass(): Promise<void> {
    const start = await shardStart(this.#broker, this.#shard).catch((error: unknown) => {
      for (const read of this.#waiting.splice(0)) end(read, error);
      throw error;
    });
    this.#index?.noteStart(this.#shard, start.offset);
    for (const read of this.#waiting.splice(0)) {
      const from = cursorFrom(start, read.from);
      read.from = from;
      this.#join(read);
    }
    for (let cursor = this.#nextWanted(null); cursor !== null; cursor = this.#nextWanted(cursor)) {
      this.#cursor = cursor;
      this.#hasJoined = false;
      const end = this.#endWanted();
      const maxBytes = Math.min(READ_BYTES_MAX, Math.max(READ_BYTES_MIN, (end - cursor.offset) * RECORD_BYTES));
      const { batches, next, lag, range } = await readShard(this.#broker, this.#shard, cursor, { maxBytes, waitMs: 0, end });
      this.#index?.passed(this.#shard, batches, range);
      this.#leaveSlow(cursor);
      this.#give(batches);
      cursor = next;
      // Who joined during the last request may want what has become durable since.
      if (lag === 0 && !this.#hasJoined) return;
    }
  }

  /** Ends the reads that have everything up to a cursor. @returns the cursor, or the first one after it that a read in the pass wants; null without any */
  #nextWanted(cursor: Cursor | null): Cursor | null {
    let next: Cursor | null = null;
    for (const ofZone of [...this.#inPass.values()])
      for (const read of [...ofZone]) {
        const from = read.from as Cursor;
        const wanted = cursor && from.offset <= cursor.offset ? cursor : from;
        if (wanted.offset >= read.end) {
          this.#leave(read);
          end(read, null);
        } else if (next === null || wanted.offset < next.offset) next = wanted;
      }
    return next;
  }

  /** Offset up to which some read in the pass wants the log. */
  #endWanted(): number {
    let most = 0;
    for (const ofZone of this.#inPass.values()) for (const { end } of ofZone) most = Math.max(most, end);
    return most;
  }

  /** Gives batches to the reads of their zones. */
  #give(batches: readonly { readonly batch: EventBatch; readonly at: Cursor }[]): void {
    const given = new Set<ZoneRead>();
    for (const { batch, at } of batches)
      for (const read of this.#inPass.get(batch.zone) ?? []) {
        if (at.offset < (read.from as Cursor).offset || at.offset >= read.end || lastSeqOf(batch) <= read.afterSeq) continue;
        // Readers change what they get.
        read.found.push(this.#inPass.get(batch.zone)?.size === 1 ? batch : structuredClone(batch));
        given.add(read);
      }
    for (const read of given) wake(read);
  }

  /** Goes on without the readers that have not taken what they got before. They continue at the cursor later. */
  #leaveSlow(cursor: Cursor): void {
    for (const ofZone of [...this.#inPass.values()])
      for (const read of [...ofZone]) {
        if (!read.isTaking && read.found.length === 0) continue;
        this.#leave(read);
        read.from = (read.from as Cursor).offset > cursor.offset ? read.from : cursor;
        read.isLeft = true;
      }
  }

  #join(read: ZoneRead): void {
    const ofZone = this.#inPass.get(read.zone);
    if (ofZone) ofZone.add(read);
    else this.#inPass.set(read.zone, new Set([read]));
  }

  #leave(read: ZoneRead): void {
    const ofZone = this.#inPass.get(read.zone);
    if (ofZone?.delete(read) && ofZone.size === 0) this.#inPass.delete(read.zone);
  }
}

/** The place to read from; the oldest record, if those before were deleted. */
export function cursorFrom(start: Cursor, from: LogPosition | null): Cursor {
  // A number is the position in a log of another kind.
  if (from === null || typeof from === 'number') return start;
  return from.offset < start.offset ? start : from;
}

function end(read: ZoneRead, failure: unknown): void {
  read.isDone = true;
  read.failure = failure;
  wake(read);
}

function wake(read: ZoneRead): void {
  const { changed } = read;
  read.changed = Promise.withResolvers();
  changed.resolve();
}
