import type { Clock, EventBatch, FollowedPart, LogPosition, ShardClaim, ShardPlace, ShardWriter, ZoneAddress } from '@millrace/kernel';
import {
  type ConsumerRegistry,
  type DeadLetterBox,
  type EventLog,
  type GroupMembership,
  type LoggedBatch,
  type LogRead,
  type LogStats,
  OffsetOutOfRange,
  type RetentionRule,
} from '@millrace/log';
import { KafkaJournal, type ShardManifests } from './kafka-journal.ts';
import { BrokerError, type TopicBroker } from './shard-broker.ts';
import { ShardCursors, type StoredCursors } from './shard-cursors.ts';
import { readShard } from './shard-reader.ts';
import { aboutBytesOf, cutOf, type ShardRetention } from './shard-retention.ts';
import { TopicWatch } from './topic-watch.ts';
import type { ZoneIndex } from './zone-index.ts';

/** Size of a read: about as much as a consumer group applies at a time, bytes. */
const READ_BYTES_MAX = 2 ** 20;
/** About the size of an event, bytes. */
const EVENT_BYTES = 256;

export interface KafkaLogParts {
  readonly broker: TopicBroker;
  readonly clock: Clock;
  readonly manifests: ShardManifests;
  readonly cursors: StoredCursors;
  readonly consumers: ConsumerRegistry;
  /** Missing where one process runs each consumer group. */
  readonly membership?: GroupMembership;
  readonly deadLetters: DeadLetterBox & {
    /** Forgets the events before the start of their shard. */
    prune(starts: readonly number[]): Promise<void>;
  };
  /** Number of shards of the topic. */
  readonly shards: number;
  readonly shardOf: (zone: ZoneAddress) => number;
  /** See `KafkaJournal`. It is closed with the log. */
  readonly index?: ZoneIndex | undefined;
  /** See `KafkaJournal`. */
  readonly beatMs?: number;
  readonly manifestRecords?: number;
}

/** A topic of Kafka as the event log. Its partitions are the shards, and its offsets are those of records. */
export class KafkaLog implements EventLog {
  readonly partitions: number;
  readonly inFlightMax: number;
  readonly consumers: ConsumerRegistry;
  readonly deadLetters: KafkaLogParts['deadLetters'];
  readonly membership?: GroupMembership;
  readonly #parts: KafkaLogParts;
  readonly #topicId: string;
  readonly #journal: KafkaJournal;
  readonly #watch: TopicWatch;
  readonly #cursors: ShardCursors;
  /** Size of all records at the last retention, if it had to be estimated. */
  #aboutBytes = 0;

  /** Takes the brokers over: they are closed with the log. @throws BrokerError when they do not respond */
  static async open(parts: KafkaLogParts): Promise<KafkaLog> {
    try {
      const watch = await TopicWatch.open(parts.broker, parts.clock, parts.shards);
      return new KafkaLog(parts, watch, await parts.broker.id());
    } catch (error) {
      await parts.index?.close();
      await parts.broker.close();
      throw error;
    }
  }

  private constructor(parts: KafkaLogParts, watch: TopicWatch, topicId: string) {
    this.#topicId = topicId;
    this.#parts = parts;
    this.#watch = watch;
    this.#cursors = new ShardCursors(parts.broker, parts.cursors);
    this.#journal = new KafkaJournal({ ...parts, onAppended: (shard, end) => watch.noteEnd(shard, end) });
    this.partitions = parts.shards;
    this.inFlightMax = this.#journal.inFlightMax;
    this.consumers = parts.consumers;
    this.deadLetters = parts.deadLetters;
    if (parts.membership) this.membership = parts.membership;
  }

  shardOf(zone: ZoneAddress): number {
    return this.#journal.shardOf(zone);
  }

  own(shard: number, claim: ShardClaim): Promise<ShardWriter> {
    return this.#journal.own(shard, claim);
  }

  read(zone: ZoneAddress, afterSeq: number, from: LogPosition | null): AsyncIterable<EventBatch> {
    return this.#journal.read(zone, afterSeq, from);
  }

  placeOf(shard: number): Promise<ShardPlace> {
    return this.#journal.placeOf(shard);
  }

  follow(shard: number, from: readonly (LogPosition | null)[], signal: AbortSignal): AsyncIterable<FollowedPart> {
    return this.#journal.follow(shard, from, signal);
  }

  async readFrom(partition: number, offset: number, eventsMax: number): Promise<LogRead> {
    const { start } = this.#boundsOf(partition);
    if (offset < start) throw new OffsetOutOfRange(partition, offset, start);
    if (offset >= this.#watch.endOf(partition)) return { batches: [], next: offset };
    try {
      const from = await this.#cursors.at(partition, offset);
      const { batches, next, range } = await readShard(this.#parts.broker, partition, from, {
        maxBytes: Math.min(READ_BYTES_MAX, eventsMax * EVENT_BYTES),
        waitMs: 0,
      });
      this.#parts.index?.passed(partition, batches, range);
      this.#cursors.keep(partition, next);
      return {
        batches: batches.map(({ at, batch }): LoggedBatch => ({ partition, offset: at.offset, next: at.offset + 1, batch })),
        next: next.offset,
      };
    } catch (error) {
      if (!(error instanceof BrokerError) || error.failure !== 'out-of-range') throw error;
      const starts = await this.#parts.broker.starts();
      const found = starts[partition] ?? null;
      if (found === null || found <= offset) throw error;
      this.#watch.noteStart(partition, found);
      throw new OffsetOutOfRange(partition, offset, found);
    }
  }

  ends(): Promise<readonly (number | null)[]> {
    return this.#watch.readEnds();
  }

  async confirmedEnds(): Promise<readonly (number | null)[]> {
    const ends = await this.#parts.broker.confirmedEnds();
    return this.#watch.bounds.map((_bounds, shard) => ends[shard] ?? null);
  }

  onAppended(listener: () => void): () => void {
    return this.#watch.onRecords(listener);
  }

  /** @throws the first failure of a shard, after all others are done */
  async retain(rule: RetentionRule, now: number): Promise<number> {
    const groups = await this.consumers.groups();
    const excess = await this.#excessOf(rule.bytesMax);
    const failures: unknown[] = [];
    let dropped = 0;
    for (let shard = 0; shard < this.partitions; shard++) {
      const readByAll = groups.reduce((least, { offsets }) => Math.min(least, offsets[shard] ?? 0), Number.POSITIVE_INFINITY);
      try {
        dropped += await this.#cut(shard, { rule, now, readByAll, bytesOver: excess[shard] ?? 0 });
      } catch (error) {
        failures.push(error);
      }
    }
    if (dropped > 0) await this.deadLetters.prune(this.#watch.bounds.map(({ start }) => start));
    if (failures.length > 0) throw failures[0];
    return dropped;
  }

  /** Deletes the oldest records of a shard. @returns number of deleted events */
  async #cut(shard: number, retention: Omit<ShardRetention, 'manifestAt'>): Promise<number> {
    const { broker, manifests, index } = this.#parts;
    const manifest = await manifests.load(shard);
    if (manifest === null) return 0;
    const { offset, events } = await cutOf(broker, shard, { ...retention, manifestAt: manifest.at.offset });
    if (offset <= this.#watch.startOf(shard)) return 0;
    await broker.deleteBefore(shard, offset);
    this.#watch.noteStart(shard, offset);
    index?.noteStart(shard, offset);
    await this.#cursors.forgetBefore(shard, offset);
    return events;
  }

  /** Bytes above a limit, by shard: each loses the same share; one that cannot be read, none. Records are counted, because brokers keep deleted ones on the disk for a while. */
  async #excessOf(bytesMax: number): Promise<number[]> {
    const { broker } = this.#parts;
    const { bytes } = this.#watch;
    if (bytes !== null && bytes <= bytesMax) return [];
    const sizes: number[] = [];
    for (const [shard, bounds] of this.#watch.bounds.entries()) sizes.push(await aboutBytesOf(broker, shard, bounds).catch(() => 0));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    this.#aboutBytes = Math.round(total);
    return total <= bytesMax ? [] : sizes.map((size) => size * (1 - bytesMax / total));
  }

  /** Processes need not take turns to open this log, only to open its index on this machine. */
  async pauseWrites(work: () => Promise<void>): Promise<void> {
    await (this.#parts.index?.pauseWrites(work) ?? work());
  }

  stats(): LogStats {
    const { bounds, bytes, sizeFailure, replicas, failure } = this.#watch;
    return { partitions: bounds, bytes: bytes ?? this.#aboutBytes, brokers: { topicId: this.#topicId, failure, sizeFailure, replicas } };
  }

  async close(): Promise<void> {
    this.#watch.close();
    await this.#parts.index?.close();
    await this.#parts.broker.close();
  }

  #boundsOf(partition: number) {
    const bounds = this.#watch.bounds[partition];
    if (!bounds) throw new RangeError(`partition ${partition} does not exist; there are ${this.partitions}`);
    return bounds;
  }
}
