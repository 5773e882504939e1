import { isDeepStrictEqual } from 'node:util';
import { UserError } from '@millrace/base/user-error';
import { after, type EventBatch, lastSeqOf, type ZoneAddress } from '@millrace/kernel';
import type { LoggedBatch, StoredLog } from '@millrace/log';
import type { ShardManifest } from '../kafka-journal.ts';
import type { Cursor } from '../reader-rule.ts';
import { BrokerError } from '../shard-broker.ts';
import { readShard, shardStart } from '../shard-reader.ts';
import type { CopyTarget } from './copy-log.ts';
import { whileBrokersFail } from './retries.ts';
import type { LogSurvey } from './survey.ts';

const READ_BYTES_MAX = 2 ** 20;
/** Batches between two calls of `onProgress`. */
const PROGRESS_BATCHES = 1_000;
/** The manifest of a shard is so many events before its end: an owner keeps what it reads from there on, for zones whose snapshots are older than the end. */
const EVENTS_AFTER_MANIFEST = 100_000;

/** Offsets of the log, by partition, whose places in the copy are wanted. */
export interface WantedPlaces {
  /** Up to which a consumer group has read. */
  readonly ends: readonly ReadonlySet<number>[];
  /** Of single events. */
  readonly events: readonly ReadonlySet<number>[];
}

interface ComparisonOptions {
  /** By shard, what `copyLog` has returned. */
  readonly ends: readonly number[];
  /** Called with the number of events that were compared. */
  readonly onProgress?: (events: number) => void;
  /** See `EVENTS_AFTER_MANIFEST`. */
  readonly eventsAfterManifest?: number;
}

/** Where the events of a log are in its copy. */
export interface CopiedPlaces {
  /** By partition and offset: the place in each shard from which a reader gets all that the offset has not passed. Shards that never had a zone are missing. */
  readonly ends: readonly ReadonlyMap<number, ReadonlyMap<number, Cursor>>[];
  /** By partition and offset of an event: offset of the record that has it. */
  readonly events: readonly ReadonlyMap<number, number>[];
  /** By shard. */
  readonly manifests: readonly ShardManifest[];
}

/**
 * Reads a log and its copy side by side, and compares each event.
 * @throws UserError at the first difference, and for a wanted end that is within a batch or not in the log; BrokerError when brokers fail for a minute
 */
export async function compareLogs(
  from: StoredLog,
  to: CopyTarget,
  { shards, headsBefore }: LogSurvey,
  wanted: WantedPlaces,
  { ends: writtenTo, onProgress = () => {}, eventsAfterManifest = EVENTS_AFTER_MANIFEST }: ComparisonOptions,
): Promise<CopiedPlaces> {
  const walks = Array.from(
    { length: to.shards },
    (_none, shard) =>
      new ShardWalk(to, shard, { end: writtenTo[shard] ?? 0, eventsBefore: (shards.get(shard)?.events ?? 0) - eventsAfterManifest }),
  );
  for (const [zone, seq] of headsBefore) walks[to.shardOf(zone)]?.heads.set(zone, seq);
  const ends: Map<number, Map<number, Cursor>>[] = [];
  const events: Map<number, number>[] = [];
  for (const [partition, { end }] of from.partitions.entries()) {
    const places = new Places(
      wanted.ends[partition],
      walks.filter((_walk, shard) => shards.get(shard)?.partition === partition),
    );
    const wantedEvents = wanted.events[partition] ?? new Set<number>();
    const found = new Map<number, number>();
    let [batches, compared] = [0, 0];
    for (const logged of from.batches(partition)) {
      await places.passTo(logged.offset);
      await (walks[to.shardOf(logged.batch.zone)] as ShardWalk).match(logged, (offset, at) => {
        if (wantedEvents.has(offset)) found.set(offset, at);
      });
      compared += logged.batch.events.length;
      if (++batches % PROGRESS_BATCHES > 0) continue;
      onProgress(compared);
      compared = 0;
    }
    await places.passTo(end);
    places.requireAll();
    onProgress(compared);
    ends.push(places.found);
    events.push(found);
  }
  const manifests = await Promise.all(walks.map((walk) => walk.end()));
  return { ends, events, manifests };
}

/** The wanted ends of a partition, as the comparison passes them. */
class Places {
  readonly found = new Map<number, Map<number, Cursor>>();
  readonly #left: number[];
  readonly #walks: readonly ShardWalk[];

  constructor(wanted: ReadonlySet<number> = new Set(), walks: readonly ShardWalk[]) {
    this.#left = [...wanted].sort((one, other) => one - other);
    this.#walks = walks;
  }

  /** Notes the place of the offset of the next batch, or of the end. */
  async passTo(offset: number): Promise<void> {
    const [next] = this.#left;
    if (next === offset) {
      const places = new Map<number, Cursor>();
      for (const walk of this.#walks) places.set(walk.shard, await walk.place());
      this.found.set(next, places);
      this.#left.shift();
    }
  }

  requireAll(): void {
    const [next] = this.#left;
    if (next !== undefined)
      throw new UserError(
        `a consumer group is at offset ${next}, where no batch begins`,
        'Start the server with log.engine "lmdb", skip the gap that the page Events shows for the group, and stop it again.',
      );
  }
}

/** A walk through the copy of a shard, batch by batch. */
class ShardWalk {
  readonly shard: number;
  /** Newest seq of each zone that was passed. */
  readonly heads = new Map<ZoneAddress, number>();
  readonly #to: CopyTarget;
  /** After all that was read. */
  #cursor: Cursor | null = null;
  #read: { readonly at: Cursor; readonly batch: EventBatch }[] = [];
  readonly #end: number;
  /** Events until the place of the manifest is reached. */
  #eventsLeft: number;
  #manifest: ShardManifest | null = null;

  /** @param end offset up to which the shard has records @param eventsBefore events before the place of the manifest */
  constructor(to: CopyTarget, shard: number, { end, eventsBefore }: { readonly end: number; readonly eventsBefore: number }) {
    this.#end = end;
    this.#to = to;
    this.shard = shard;
    this.#eventsLeft = eventsBefore;
  }

  /** The place of the next batch; at the end, that after all records. */
  async place(): Promise<Cursor> {
    await this.#readOn();
    return this.#read[0]?.at ?? (this.#cursor as Cursor);
  }

  /**
   * Passes a batch of the log; the copy may have it in parts.
   * @param onEvent called with the offset of each event in the log, and that of its record in the copy
   * @throws UserError when the copy has something else
   */
  async match({ offset, batch }: LoggedBatch, onEvent: (offset: number, at: number) => void): Promise<void> {
    for (let rest: EventBatch | undefined = batch; rest; ) {
      await this.#readOn();
      const next = this.#read.shift();
      if (!next) throw different(`the copy lacks the events of ${rest.zone} from ${rest.firstSeq} on`);
      requirePart(next.batch, rest, this.shard);
      const first = offset + next.batch.firstSeq - batch.firstSeq;
      // A lost range has no events, but an offset: it can be a dead letter.
      for (let index = 0; index < (next.batch.events.length || 1); index++) onEvent(first + index, next.at.offset);
      this.heads.set(batch.zone, lastSeqOf(next.batch));
      rest = after(rest, lastSeqOf(next.batch));
    }
    this.#eventsLeft -= batch.events.length;
    if (this.#manifest === null && this.#eventsLeft < 0) await this.#noteManifest();
  }

  /** @returns the manifest @throws UserError when the copy has more than the log */
  async end(): Promise<ShardManifest> {
    await this.#readOn();
    const [more] = this.#read;
    if (more) throw different(`the copy has events of ${more.batch.zone} from ${more.batch.firstSeq} on that the log does not have`);
    return this.#manifest ?? this.#noteManifest();
  }

  async #noteManifest(): Promise<ShardManifest> {
    const manifest = { at: await this.place(), heads: new Map(this.heads) };
    this.#manifest = manifest;
    return manifest;
  }

  /** Reads until a batch is known, or the end is reached. */
  async #readOn(): Promise<void> {
    const { broker, clock } = this.#to;
    while (this.#read.length === 0) {
      const from = this.#cursor ?? (await whileBrokersFail(clock, () => shardStart(broker, this.shard)));
      const limits = { maxBytes: READ_BYTES_MAX, waitMs: 0 };
      const { batches, next, lag } = await whileBrokersFail(clock, async () => {
        const read = await readShard(broker, this.shard, from, limits);
        // A new leader knows of the newest records only when its followers have told it.
        if (read.lag === 0 && read.next.offset < this.#end)
          throw new BrokerError(
            'unknown',
            `the leader of shard ${this.shard} tells of records up to offset ${read.next.offset}, of ${this.#end}`,
          );
        return read;
      });
      this.#cursor = next;
      this.#read = [...batches];
      if (lag === 0) return;
    }
  }
}

/** @throws UserError when a batch of the copy is not the first part of a batch of the log */
function requirePart(found: EventBatch, due: EventBatch, shard: number): void {
  const count = found.events.length;
  const part =
    count === due.events.length ? due : { ...due, events: due.events.slice(0, count), metas: due.metas?.slice(0, count) ?? null };
  if (isDeepStrictEqual(found, part)) return;
  throw different(
    `the copy differs from the log: shard ${shard} has events of ${found.zone} from seq ${found.firstSeq} on; expected ${due.zone} from seq ${due.firstSeq} on`,
  );
}

/** The topic was copied from another state of the log: one that was restored from a backup, or repaired, since. */
function different(message: string): UserError {
  return new UserError(message, 'Delete the topic in Kafka, and run the move again. If they differ again, please report it.');
}
