import type { ReadRange } from '@millrace/base/offsets';
import type { DeadLetter } from '@millrace/contracts';
import type { EventBatch, Journal, ZoneAddress } from '@millrace/kernel';
import type { GroupMembership } from './membership.ts';

/**
 * A batch with its position. Offsets count the events of the partition in LMDB, and the records in Kafka, where other records are between batches; `next` is
 * the offset after the batch.
 */
export interface LoggedBatch {
  readonly partition: number;
  readonly offset: number;
  readonly next: number;
  readonly batch: EventBatch;
}

export interface RetentionRule {
  /** Older events that every registered group has read are dropped. */
  readonly olderThanMs: number;
  /** Above this size the oldest events are dropped, read or not. A group that has not read them gets `OffsetOutOfRange`. */
  readonly bytesMax: number;
  /**
   * Whether a snapshot has all events of a zone up to a seq. Old events without one are kept, up to `bytesMax`: without them the zone could not be
   * recovered. Default: all have one.
   */
  readonly isCovered?: (zone: ZoneAddress, seq: number) => Promise<boolean>;
}

/** Retention has dropped the events that a consumer group would read next (Kafka’s OFFSET_OUT_OF_RANGE). */
export class OffsetOutOfRange extends Error {
  readonly partition: number;
  /** The requested offset, and the oldest one in the log (`start`). */
  readonly offset: number;
  readonly start: number;

  constructor(partition: number, offset: number, start: number) {
    super(
      `offsets ${offset} to ${start - 1} of partition ${partition} are not in the log any more: retention has dropped them ` +
        'before they were read. Skip them, which records the gap, or restore what reads them from a backup.',
    );
    this.name = 'OffsetOutOfRange';
    this.partition = partition;
    this.offset = offset;
    this.start = start;
  }
}

/** The store of a consumer group is ahead of the log, which was restored from an older backup. */
export class OffsetBeyondEnd extends Error {
  constructor(group: string, partition: number, offset: number, end: number) {
    super(
      `the store of ${group} has partition ${partition} up to offset ${offset - 1}, but the log ends at ${end - 1}: it is older than the store. ` +
        'Restore both from one backup, or delete the offsets and rows of the group, which then reads the log from its start.',
    );
    this.name = 'OffsetBeyondEnd';
  }
}

/** Events that a group has skipped: offsets from `from` (inclusive) to `to` (exclusive). */
export interface ConsumerGap {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
  /** When they were skipped, epoch ms. */
  readonly at: number;
}

/** Progress of a consumer group in one process. */
export interface ConsumerStats {
  readonly group: string;
  /** Unread events in the log, over the partitions of this process; over all partitions before it has joined the group. */
  readonly lag: number;
  readonly applied: number;
  readonly deadLetters: number;
  readonly failure: string | null;
  /** By partition. Of partitions of other processes some seconds old. */
  readonly offsets: readonly number[];
  /** Partitions of this process. */
  readonly partitions: readonly number[];
  /** Ranges that retention dropped before the group read them. While there are any, the group reads nothing. See `skipDropped`. */
  readonly overtaken: readonly ConsumerGap[];
  /** Ranges that the group has skipped. */
  readonly gaps: readonly ConsumerGap[];
}

/** What is read at a time: batches in order and without a gap, and the offset to continue from. */
export interface LogRead {
  readonly batches: readonly LoggedBatch[];
  readonly next: number;
}

/** What the log knows of a consumer group. */
export interface KnownGroup {
  readonly group: string;
  /** Saved offsets; none while the group has saved none. */
  readonly offsets: readonly number[];
  /** Newest ranges that the group has skipped. */
  readonly gaps: readonly ConsumerGap[];
  /** By partition: where the log ended when the store of the group was found to be ahead of it; null where it is not ahead. Empty if it never was. */
  readonly beyondEnd: readonly (number | null)[];
}

/** The groups that read the log. Retention waits for all of them, whether they run or not. */
export interface ConsumerRegistry {
  /**
   * Saves the offsets of a group, and registers a new group. The group’s own store is authoritative; this copy may lag behind it.
   * @param held if processes share the group: the partitions of this process with the generations of their assignments. Only their offsets are saved, and
   *   those of partitions without one
   * @throws StaleGeneration when one of them was assigned again
   */
  note(group: string, offsets: readonly number[], held?: ReadonlyMap<number, number>): Promise<void>;
  /**
   * For a group whose only store is the registry: moves its offsets from the starts of ranges to their ends, all or none.
   * @param initial offsets of a group that has saved none
   * @throws OffsetsChanged when a saved offset is not the start of its range
   */
  advance(group: string, read: readonly ReadRange[], initial: readonly number[]): Promise<void>;
  /** Unregisters a group: retention no longer waits for it. */
  remove(group: string): Promise<void>;
  groups(): Promise<readonly KnownGroup[]>;
  /** Undefined for a group that is not registered. */
  find(group: string): Promise<KnownGroup | undefined>;
  /** Saves where the log ended, when the store of the group was found to be ahead of it; nulls when it is not ahead. */
  noteBeyondEnd(group: string, ends: readonly (number | null)[]): Promise<void>;
  recordGap(group: string, gap: ConsumerGap): Promise<void>;
}

export interface LogStats {
  readonly partitions: readonly { readonly start: number; readonly end: number }[];
  readonly bytes: number;
  /** The brokers of a log that is not in this process. */
  readonly brokers?: BrokerStats;
}

interface BrokerStats {
  /** Id of the topic. */
  readonly topicId: string;
  /** Why they could not be asked last time; null when they could. */
  readonly failure: string | null;
  /** Why they do not tell the size of the topic: `bytes` is that of the records at the last retention, estimated. Null when they do. */
  readonly sizeFailure: string | null;
  /** Replicas of each shard: how many there are, and how many have all its records. Without a leader it can be neither written nor read. */
  readonly replicas: readonly { readonly shard: number; readonly isLed: boolean; readonly replicas: number; readonly inSync: number }[];
}

/** The durable, ordered record of events. A zone’s events are all in one partition, in the order of their seq. */
export interface EventLog extends Journal {
  readonly partitions: number;
  /**
   * Batches from `offset` on, about `eventsMax` events of them; none at the end of the log.
   * @throws OffsetOutOfRange when events from `offset` on were dropped
   */
  readFrom(partition: number, offset: number, eventsMax: number): Promise<LogRead>;
  /** Offset after the newest event of each partition; null where it cannot be read now. */
  ends(): Promise<readonly (number | null)[]>;
  /**
   * As `ends`, but never those that a broker tells which does not know yet that it was replaced; null where that cannot be ruled out now. Missing where the
   * ends are always the newest.
   */
  confirmedEnds?(): Promise<readonly (number | null)[]>;
  /** Calls back after each append that is durable; the returned function ends it. */
  onAppended(listener: () => void): () => void;
  /** Drops the oldest events by the rule. @returns number of dropped events */
  retain(rule: RetentionRule, now: number): Promise<number>;
  /** Runs `work` while no process writes. Another process may open the log only then. */
  pauseWrites(work: () => Promise<void>): Promise<void>;
  readonly deadLetters: DeadLetterBox;
  readonly consumers: ConsumerRegistry;
  /** Divides the partitions among the processes that run a group. Missing where a log has one process for each group. */
  readonly membership?: GroupMembership;
  /** From memory. For a log on other machines it may be a second old. */
  stats(): LogStats;
  close(): Promise<void>;
}

/** Dead letters: events that a consumer could not apply, with the reason, until they are replayed or removed. */
export interface DeadLetterBox {
  /**
   * @param generation if processes share the group: that in which this process got the partition
   * @throws StaleGeneration when the partition was assigned again
   */
  put(deadLetter: Omit<DeadLetter, 'id'>, batch: EventBatch, generation?: number): Promise<void>;
  list(group?: string): Promise<readonly DeadLetter[]>;
  /** Whether a dead letter of a group that begins with the event waits. */
  has(group: string, zone: string, seq: number): Promise<boolean>;
  /** Replaces the batch of a dead letter. The log keeps the original events. */
  replace(id: number, batch: EventBatch): Promise<void>;
  open(id: number): Promise<OpenDeadLetter | undefined>;
  /** Number of all dead letters. */
  count(): Promise<number>;
  remove(id: number): Promise<void>;
  /** Whether the event was ever a dead letter of a group, including replayed and removed ones, until retention deletes the event. */
  wasPut(group: string, zone: string, seq: number): Promise<boolean>;
  /** Makes `wasPut` know what other processes have put. Call it when the process gets partitions of the group. Missing where it always does. */
  reload?(group: string): void;
}

/** A dead letter with its events. */
export interface OpenDeadLetter {
  readonly deadLetter: DeadLetter;
  readonly batch: EventBatch;
}
