import type { DeadLetter } from '@millrace/contracts';
import type { EventBatch, ZoneLog } from '@millrace/kernel';

/** A batch with its place: `offset` counts the events of the partition, so `next - offset` is the batch’s width. */
export interface LoggedBatch {
  readonly partition: number;
  readonly offset: number;
  readonly next: number;
  readonly batch: EventBatch;
}

export interface RetentionRule {
  /** Older events that every registered group has read are dropped. */
  readonly olderThanMs: number;
  /** Beyond it the oldest are dropped, read or not: a group that has not read them is told (`OffsetOutOfRange`). */
  readonly bytesMax: number;
}

/** What a consumer group reads from next does not exist any more: retention has dropped it (Kafka’s OFFSET_OUT_OF_RANGE). */
export class OffsetOutOfRange extends Error {
  readonly partition: number;
  /** What was asked for, and the oldest offset there is. */
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

/** Events that a group went on without: offsets `from` up to, and without, `to`. */
export interface ConsumerGap {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
  /** When that was decided, epoch ms. */
  readonly at: number;
}

/** The groups that read the log. Retention waits for all of them, whether they run or not. */
export interface ConsumerRegistry {
  /** Notes how far a group has read, and makes it known if it is not. The group’s own store has the truth; this may lag behind it. */
  note(group: string, offsets: readonly number[]): Promise<void>;
  /** Forgets a group that will not read any more. */
  remove(group: string): Promise<void>;
  groups(): { readonly group: string; readonly offsets: readonly number[] }[];
  recordGap(group: string, gap: ConsumerGap): Promise<void>;
  gaps(group: string): ConsumerGap[];
}

export interface LogStats {
  readonly partitions: readonly { readonly start: number; readonly end: number }[];
  readonly bytes: number;
}

/** The durable, ordered record of events. A zone’s events are all in one partition, in the order of their seq. */
export interface EventLog extends ZoneLog {
  readonly partitions: number;
  /**
   * Batches from `offset` on, in order and without a gap, about `eventsMax` events of them; none when there is nothing newer.
   * @throws OffsetOutOfRange when events from `offset` on were dropped
   */
  readFrom(partition: number, offset: number, eventsMax: number): Promise<LoggedBatch[]>;
  /** Calls back after each append that is durable; the returned function ends it. */
  onAppended(listener: () => void): () => void;
  /** Drops the oldest events by the rule; returns how many. */
  retain(rule: RetentionRule, now: number): Promise<number>;
  /** Keeps every process from writing while `work` is done: another one may open the log only then. */
  pauseWrites(work: () => Promise<void>): Promise<void>;
  readonly deadLetters: DeadLetterBox;
  readonly consumers: ConsumerRegistry;
  stats(): LogStats;
  close(): Promise<void>;
}

/** Events that a consumer could not take, kept with their reason until they are replayed. */
export interface DeadLetterBox {
  put(deadLetter: Omit<DeadLetter, 'id'>, batch: EventBatch): Promise<void>;
  list(group?: string): DeadLetter[];
  /** Puts another batch in the deadLetter’s place; the log keeps what was decided. */
  replace(id: number, batch: EventBatch): Promise<void>;
  open(id: number): { deadLetter: DeadLetter; batch: EventBatch } | undefined;
  remove(id: number): Promise<void>;
  /** Whether the event was put here for a group at any time: replayed and removed ones count, until retention deletes the event. */
  wasPut(group: string, zone: string, seq: number): boolean;
}
