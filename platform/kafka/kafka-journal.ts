import { randomUUID } from 'node:crypto';
import {
  type Clock,
  type EventBatch,
  type FollowedPart,
  type Journal,
  type LogPosition,
  lastSeqOf,
  type ShardClaim,
  type ShardPlace,
  type WriterEnd,
  type ZoneAddress,
} from '@millrace/kernel';
import { type Cursor, SHARD_START } from './reader-rule.ts';
import type { ShardBroker } from './shard-broker.ts';
import { followShard } from './shard-follower.ts';
import { shardStart } from './shard-reader.ts';
import { ShardTail } from './shard-tail.ts';
import { ShardWriter } from './shard-writer.ts';
import { cursorFrom, SharedReads } from './shared-reads.ts';
import type { ZoneIndex } from './zone-index.ts';

/** Appends to a shard that may wait at a time: the requests in flight, and as many more. */
const IN_FLIGHT_MAX = 10;
const BEAT_MS = 10_000;
const MANIFEST_RECORDS = 1_000;
/** A state in place of lost events counts as this many events. */
const STATE_EVENTS = 1_000;
/** Events of a shard that an owner keeps in memory from its claim on, so that its zones need not read the log one by one. */
const RECENT_EVENTS_MAX = 200_000;
/** How long it keeps them, ms. Zones are opened soon after the claim. */
const RECENT_MS = 60_000;

/** The heads of a shard at one place. An owner reads the log from there on. */
export interface ShardManifest {
  readonly at: Cursor;
  /** Newest seq of each zone before `at`. */
  readonly heads: ReadonlyMap<ZoneAddress, number>;
}

/** The newest manifest of each shard, for all hosts. It may be missing or old: an owner then reads more of the log, which must not be cut after it. */
export interface ShardManifests {
  load(shard: number): Promise<ShardManifest | null>;
  save(shard: number, manifest: ShardManifest): Promise<void>;
}

export interface KafkaJournalParts {
  readonly broker: ShardBroker;
  readonly clock: Clock;
  readonly manifests: ShardManifests;
  /** Number of shards of the topic. */
  readonly shards: number;
  readonly shardOf: (zone: ZoneAddress) => number;
  /** Names a new owner; no two have the same name. Default: random. */
  readonly newName?: () => string;
  /** Shortens reads of zones. It is filled by what is read and appended. */
  readonly index?: ZoneIndex | undefined;
  /** Called with the offset after each append that is durable. */
  readonly onAppended?: (shard: number, end: number) => void;
  /** Interval at which an owner writes a head, and saves its manifest, ms. Brokers forget producers that write nothing. */
  readonly beatMs?: number;
  /** Records between two manifests of an owner. The next owner reads about as many at most. */
  readonly manifestRecords?: number;
}

/** A topic of Kafka as the log of zones: a shard is a partition. */
export class KafkaJournal implements Journal {
  readonly inFlightMax = IN_FLIGHT_MAX;
  readonly #parts: KafkaJournalParts;
  /** Shards that were claimed here. */
  readonly #owned = new Map<number, OwnedShard>();
  readonly #reads = new Map<number, SharedReads>();
  /** What followers and claims have read, so that the next claim reads on. */
  readonly #readBefore = new Map<number, ShardManifest>();

  constructor(parts: KafkaJournalParts) {
    this.#parts = parts;
  }

  shardOf(zone: ZoneAddress): number {
    return this.#parts.shardOf(zone);
  }

  /** Number of shards. */
  get shards(): number {
    return this.#parts.shards;
  }

  async own(shard: number, { lease, onPrevious }: ShardClaim): Promise<OwnedShard> {
    const { broker, clock, index, newName = randomUUID, beatMs = BEAT_MS, onAppended = () => {} } = this.#parts;
    const from = await this.#manifestOf(shard);
    const recent = new RecentBatches(from.heads);
    const tail = new ShardTail({
      ...{ broker, shard, clock, cursor: from.at, heads: from.heads },
      onBatch: (batch) => recent.add(batch),
      onPassed: (batches, range) => index?.passed(shard, batches, range),
    });
    const nonce = newName();
    const claim = { broker, shard, lease, clock, tail, nonce, onPrevious: (previous: string) => onPrevious(nonce, previous) };
    const writer = await ShardWriter.own(claim).finally(() => this.#noteRead(shard, manifestAt(tail)));
    const owned = new OwnedShard(writer, { nonce, tail, clock, recent, onAppended: (end) => onAppended(shard, end) });
    this.#owned.set(shard, owned);
    this.#beat(shard, owned, beatMs);
    return owned;
  }

  /** Where a claim begins to read: the newest manifest, or the start of the shard. @throws Error when the records between were deleted */
  async #manifestOf(shard: number): Promise<ShardManifest> {
    const { broker, manifests } = this.#parts;
    const stored = await manifests.load(shard);
    const read = this.#readBefore.get(shard);
    // A copy: a follower continues to change its heads.
    const newest = read && read.at.offset >= (stored?.at.offset ?? 0) ? { at: read.at, heads: new Map(read.heads) } : stored;
    const start = await shardStart(broker, shard);
    if (newest && newest.at.offset >= start.offset) return newest;
    if (start.offset === 0) return { at: start, heads: new Map() };
    throw new Error(
      `shard ${shard} begins at offset ${start.offset}, and ${newest ? `its newest manifest is for offset ${newest.at.offset}` : 'it has no manifest'}: ` +
        'which events its zones have is not known. Restore the cold snapshots of the topic, which have the manifests.',
    );
  }

  #noteRead(shard: number, place: ShardManifest): void {
    if (place.at.offset >= (this.#readBefore.get(shard)?.at.offset ?? 0)) this.#readBefore.set(shard, place);
  }

  async placeOf(shard: number): Promise<ShardPlace> {
    const { at, heads } = await this.#manifestOf(shard);
    return { position: at, heads };
  }

  async *follow(shard: number, from: readonly (LogPosition | null)[], signal: AbortSignal): AsyncIterable<FollowedPart> {
    const known = await this.#manifestOf(shard);
    const start = await shardStart(this.#parts.broker, shard);
    const cursors = from.map((position) => cursorFrom(start, position));
    const earliest = cursors.reduce((least, cursor) => (cursor.offset < least.offset ? cursor : least), known.at);
    yield* followShard({ ...this.#parts, shard, known, onPlace: (place) => this.#noteRead(shard, place) }, earliest, signal);
  }

  #beat(shard: number, owned: OwnedShard, beatMs: number): void {
    const { clock, manifests, manifestRecords = MANIFEST_RECORDS } = this.#parts;
    let cancel = () => {};
    let savedAt = Number.NEGATIVE_INFINITY;
    const wait = () => {
      cancel = clock.after(beatMs, () => {
        void owned.beat();
        const { offset } = owned.end;
        if (offset - savedAt >= manifestRecords) {
          const before = savedAt;
          savedAt = offset;
          // An older manifest does, too: the next owner then reads more.
          manifests.save(shard, owned.manifest()).catch(() => {
            savedAt = before;
          });
        }
        wait();
      });
    };
    wait();
    void owned.ended.then(() => {
      cancel();
      if (this.#owned.get(shard) === owned) this.#owned.delete(shard);
    });
  }

  async *read(zone: ZoneAddress, afterSeq: number, from: LogPosition | null): AsyncIterable<EventBatch> {
    const shard = this.shardOf(zone);
    const owned = this.#owned.get(shard);
    const recent = owned?.recentOf(zone, afterSeq);
    if (recent) return yield* recent;
    const { broker, index } = this.#parts;
    const reads = this.#reads.get(shard) ?? new SharedReads(broker, shard, index);
    this.#reads.set(shard, reads);
    const parts = (await index?.partsOf(shard, zone, afterSeq, from)) ?? [{ from, end: Number.POSITIVE_INFINITY }];
    for (const part of parts)
      for await (const batch of reads.read(zone, afterSeq, part.from, part.end)) {
        yield batch;
        // The claim has read the rest.
        const rest = owned?.recentOf(zone, lastSeqOf(batch));
        if (rest) return yield* rest;
      }
  }
}

interface OwnedParts {
  readonly nonce: string;
  readonly tail: ShardTail;
  readonly clock: Clock;
  readonly recent: RecentBatches;
  readonly onAppended: (end: number) => void;
}

function manifestAt(tail: ShardTail): ShardManifest {
  const { cursor, heads } = tail.place();
  return { at: cursor, heads };
}

/** One ownership of a shard. */
export class OwnedShard {
  readonly epoch: number;
  readonly ended: Promise<WriterEnd>;
  readonly #writer: ShardWriter;
  readonly #nonce: string;
  readonly #tail: ShardTail;
  readonly #onAppended: (end: number) => void;
  /** What was read at the claim; null after a while. */
  #recent: RecentBatches | null;

  constructor(writer: ShardWriter, parts: OwnedParts) {
    const { clock } = parts;
    this.#onAppended = parts.onAppended;
    this.epoch = writer.epoch;
    this.ended = writer.ended;
    this.#writer = writer;
    this.#nonce = parts.nonce;
    this.#tail = parts.tail;
    this.#recent = parts.recent;
    parts.recent.close();
    const cancel = clock.after(RECENT_MS, () => {
      this.#recent = null;
    });
    void writer.ended.then(() => {
      this.#recent = null;
      cancel();
    });
  }

  headOf(zone: ZoneAddress): number {
    // Behind the claim of a later owner, the tail has the heads of that owner.
    return this.#tail.cursor.nonce === this.#nonce ? this.#writer.headOf(zone) : 0;
  }

  async append(batches: readonly EventBatch[]): Promise<Cursor> {
    const at = await this.#writer.append(batches);
    this.#onAppended(this.#tail.cursor.offset);
    return at;
  }

  /** The end of the record as it is known here. */
  get end(): Cursor {
    return this.#tail.cursor;
  }

  async beat(): Promise<void> {
    await this.#writer.beat();
  }

  release(): Promise<void> {
    return this.#writer.release();
  }

  /** The heads of the shard now, for its manifest. */
  manifest(): ShardManifest {
    return manifestAt(this.#tail);
  }

  /** The batches of a zone after a seq, if they are known without reading the log. */
  recentOf(zone: ZoneAddress, afterSeq: number): EventBatch[] | null {
    if (this.#tail.cursor.nonce !== this.#nonce) return null;
    const head = this.#writer.headOf(zone);
    return afterSeq >= head ? [] : (this.#recent?.ofZone(zone, afterSeq, head) ?? null);
  }
}

/** What an owner has read up to its claim. */
class RecentBatches {
  readonly #heads: ReadonlyMap<ZoneAddress, number>;
  readonly #zones = new Map<ZoneAddress, EventBatch[]>();
  #events = 0;
  #isClosed = false;

  /** @param heads newest seq of each zone before what is read */
  constructor(heads: ReadonlyMap<ZoneAddress, number>) {
    this.#heads = heads;
  }

  add(batch: EventBatch): void {
    if (this.#isClosed) return;
    this.#events += batch.events.length + (batch.loss ? STATE_EVENTS : 0);
    if (this.#events > RECENT_EVENTS_MAX) return this.#zones.clear();
    const ofZone = this.#zones.get(batch.zone);
    if (ofZone) ofZone.push(batch);
    else this.#zones.set(batch.zone, [batch]);
  }

  /** The claim is read: what follows is written by its owner. */
  close(): void {
    this.#isClosed = true;
  }

  /** All batches of a zone with events from `afterSeq` to `head`; null when some are not known. */
  ofZone(zone: ZoneAddress, afterSeq: number, head: number): EventBatch[] | null {
    const batches = this.#zones.get(zone) ?? [];
    const last = batches.at(-1);
    if (this.#events > RECENT_EVENTS_MAX || afterSeq < (this.#heads.get(zone) ?? 0) || !last || lastSeqOf(last) < head) return null;
    return structuredClone(batches.filter((batch) => lastSeqOf(batch) > afterSeq));
  }
}

/** Manifests in memory: for a process that needs none of earlier ones. */
export class MemoryManifests implements ShardManifests {
  readonly #manifests = new Map<number, ShardManifest>();

  async load(shard: number): Promise<ShardManifest | null> {
    return this.#manifests.get(shard) ?? null;
  }

  async save(shard: number, manifest: ShardManifest): Promise<void> {
    const known = this.#manifests.get(shard) ?? { at: SHARD_START };
    if (known.at.offset <= manifest.at.offset) this.#manifests.set(shard, manifest);
  }
}
