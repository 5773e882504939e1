import type { Checkpoint, EventBatch } from './batch.ts';
import type { ZoneAddress } from './definition.ts';

/** Time as the kernel is given it: real in production, simulated in tests and replays. */
export interface Clock {
  /** Epoch ms. */
  now(): number;
  /** Ms since any fixed moment; never goes back. */
  elapsed(): number;
  /** Calls back once, after everything that is already waiting. */
  soon(callback: () => void): void;
  /** Calls back once after `ms`; the returned function calls it off. */
  after(ms: number, callback: () => void): () => void;
}

/**
 * The random numbers of a zone under an epoch: each call gives the next in [0, 1). The same zone and epoch give the same
 * sequence, and since no epoch is owned twice, no number is drawn twice. Keep secret what
 * they are made from.
 */
export type RandomNumbers = (zone: ZoneAddress, epoch: number) => () => number;

/** A position in the log that reading a zone may start from; only the log that gave it understands it. */
export type LogPosition = number;

/** What the kernel needs of the durable log. */
export interface ZoneLog {
  /** Makes the caller the zone’s owner under a new epoch; from now on batches of older epochs are refused. */
  claim(zone: ZoneAddress): Promise<Claim>;
  /**
   * Resolves when the batches are durable, with what became of each, in order. A batch that the log has already is
   * taken as written (so a retry after an unclear failure is safe); one of an older epoch is `stale`.
   * Rejects when the log cannot be reached; then nothing is known of any of them. Rejects with SequenceGap when one does not
   * follow what the log has and what comes before it; then none of them is written.
   * @param onTaken called before, when a crash of this process alone would not lose them any more: the next may follow
   */
  append(batches: readonly EventBatch[], onTaken?: () => void): Promise<Appended[]>;
  /** The zone’s batches that reach beyond `afterSeq`, in order, looking no earlier than `from`. */
  read(zone: ZoneAddress, afterSeq: number, from: LogPosition | null): AsyncIterable<EventBatch>;
}

export interface Claim {
  readonly epoch: number;
  /** The highest seq the log holds of the zone; 0 when it holds none. */
  readonly lastSeq: number;
}

export type Appended = { readonly at: LogPosition } | 'stale';

export interface Snapshot extends Checkpoint {
  readonly zone: ZoneAddress;
  readonly version: number;
  readonly epoch: number;
  readonly seq: number;
  /** When it was taken, epoch ms. */
  readonly time: number;
  /** From where in the log the events after it are found. */
  readonly position: LogPosition | null;
  /** Events up to `seq` that the log did not have yet when the snapshot was taken; a new owner writes them first. */
  readonly unrecorded: readonly EventBatch[];
}

export interface SnapshotLabel {
  readonly zone: ZoneAddress;
  readonly epoch: number;
  readonly seq: number;
  readonly time: number;
}

export interface SnapshotStore {
  /** Captures the snapshot before it returns; resolves when it is stored. */
  save(snapshot: Snapshot): Promise<void>;
  /** What there is of a zone, newest first: by epoch, then by seq. */
  list(zone: ZoneAddress): Promise<SnapshotLabel[]>;
  /** Rejects when it is gone or damaged. */
  load(label: SnapshotLabel): Promise<Snapshot>;
}

/** The outbox’s overflow on local disk: a queue that survives the process. */
export interface Spool {
  /** Adds at the end, without waiting for the disk; returns how many of them there was room for. */
  add(batches: readonly EventBatch[]): number;
  /** The oldest batches, at least one unless it is empty, up to about `eventsMax` events. */
  oldest(eventsMax: number): EventBatch[];
  /** Forgets the `count` oldest. */
  drop(count: number): void;
  /** Forgets the `count` oldest, which the log will never take; a person finds them where the spool keeps them. */
  giveUp(count: number): void;
  /** All batches of a zone, oldest first. */
  ofZone(zone: ZoneAddress): EventBatch[];
  /** How many events there are of a zone; reads nothing. */
  eventsOf(zone: ZoneAddress): number;
  readonly batches: number;
  readonly bytes: number;
  readonly bytesMax: number;
}
