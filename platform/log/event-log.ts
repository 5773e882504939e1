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
  readonly olderThanMs: number;
  readonly bytesMax: number;
  /** The offset of a partition from which events are still needed; nothing from there on is dropped for its age. */
  readonly neededFrom: (partition: number) => number;
}

export interface LogFigures {
  readonly partitions: readonly { readonly start: number; readonly end: number }[];
  readonly bytes: number;
}

/** The durable, ordered record of events. A zone’s events are all in one partition, in the order of their seq. */
export interface EventLog extends ZoneLog {
  readonly partitions: number;
  /** Batches from `offset` on, in order, about `eventsMax` events of them; none when there is nothing newer. */
  readFrom(partition: number, offset: number, eventsMax: number): Promise<LoggedBatch[]>;
  /** Calls back after each append that is durable; the returned function ends it. */
  onAppended(listener: () => void): () => void;
  /** Drops the oldest events by the rule; returns how many. */
  retain(rule: RetentionRule, now: number): Promise<number>;
  readonly deadLetters: DeadLetterBox;
  figures(): LogFigures;
  close(): Promise<void>;
}

/** Events that a consumer could not take, kept with their reason until they are replayed. */
export interface DeadLetterBox {
  put(letter: Omit<DeadLetter, 'id'>, batch: EventBatch): Promise<void>;
  list(group?: string): DeadLetter[];
  /** Puts another batch in the letter’s place; the log keeps what was decided. */
  mend(id: number, batch: EventBatch): Promise<void>;
  open(id: number): { letter: DeadLetter; batch: EventBatch } | undefined;
  remove(id: number): Promise<void>;
}
