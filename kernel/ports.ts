import type { Checkpoint, EventBatch } from './batch.ts';
import type { ZoneAddress } from './command.ts';

/** Source of time for the kernel: real in production, simulated in tests and replays. */
export interface Clock {
  /** Wall-clock time, epoch ms. */
  now(): number;
  /** Ms since an arbitrary fixed moment; never goes back. */
  elapsed(): number;
  /** Calls back once, after all callbacks that already wait. */
  soon(callback: () => void): void;
  /** Calls back once after `ms`. Returns a function that cancels it. */
  after(ms: number, callback: () => void): () => void;
}

/**
 * Gives the random numbers of a zone under an epoch: each call of the result returns the next one in [0, 1). The same zone and
 * epoch give the same sequence. No epoch is owned twice, so no number is drawn twice. Keep the seed secret.
 */
export type RandomNumbers = (zone: ZoneAddress, epoch: number) => () => number;

/** A position in the log at which a read of a zone may start. Only the log that returned it can interpret it. */
export type LogPosition = number;

/** The durable log, as far as the kernel needs it. */
export interface ZoneLog {
  /** Makes the caller the zone’s owner under a new epoch. From then on, the log refuses batches of older epochs. */
  claim(zone: ZoneAddress): Promise<Claim>;
  /**
   * Resolves when the batches are durable, with the outcome of each, in order. A batch that the log already has counts as written,
   * so a retry after an unclear failure is safe. A batch of an older epoch is `stale`.
   * Rejects when the log cannot be reached; the outcome of every batch is then unknown. Rejects with SequenceGap when a batch does
   * not follow the log and the batches before it; none of them is then written.
   * @param onTaken called earlier, once a crash of this process alone cannot lose the batches: the next append may start
   */
  append(batches: readonly EventBatch[], onTaken?: () => void): Promise<Appended[]>;
  /** The zone’s batches with events after `afterSeq`, in order. Reads the log from `from` on, or from its start when null. */
  read(zone: ZoneAddress, afterSeq: number, from: LogPosition | null): AsyncIterable<EventBatch>;
}

export interface Claim {
  readonly epoch: number;
  /** Highest seq of the zone in the log; 0 when the log has none. */
  readonly lastSeq: number;
}

/** Outcome of one batch of an append: its position in the log, or `stale` when its epoch is too old. */
export type Appended = { readonly at: LogPosition } | 'stale';

export interface Snapshot extends Checkpoint {
  readonly zone: ZoneAddress;
  readonly version: number;
  readonly epoch: number;
  readonly seq: number;
  /** Time of the capture, epoch ms. */
  readonly time: number;
  /** Where in the log to start reading the events after it. */
  readonly position: LogPosition | null;
  /** Events up to `seq` that the log did not have at the capture. A new owner writes them first. */
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
  /** The stored snapshots of a zone, newest first: by epoch, then by seq. */
  list(zone: ZoneAddress): Promise<SnapshotLabel[]>;
  /** Rejects when the snapshot is missing or damaged. */
  load(label: SnapshotLabel): Promise<Snapshot>;
}

/** Overflow of the outbox on local disk: a queue that survives the process. */
export interface Spool {
  /** Adds batches at the end, without waiting for the disk. Returns how many of them, from the first on, had room. */
  add(batches: readonly EventBatch[]): number;
  /** The oldest batches, up to about `eventsMax` events; at least one unless the spool is empty. */
  oldest(eventsMax: number): EventBatch[];
  /**
   * Removes the `count` oldest batches, except for those that are held, by index: they are given by `ofZone` only, until they are
   * forgotten; a later process gets them again. They take at most half of the quota: the oldest go first.
   * @returns number of events that went for that reason
   */
  drop(count: number, isHeld?: (index: number) => boolean): number;
  /** Removes the held batches of a zone. Those that are lost are kept aside for an operator. @returns number of lost events */
  forgetHeld(zone: ZoneAddress, areLost?: boolean): number;
  /** Removes the `count` oldest batches, which the log will never accept. The spool keeps them aside for an operator. */
  giveUp(count: number): void;
  /** All batches of a zone, oldest first, held ones included. */
  ofZone(zone: ZoneAddress): EventBatch[];
  /** Number of events of a zone, without held ones. Reads nothing from disk. */
  eventsOf(zone: ZoneAddress): number;
  /** Number of batches, without held ones. */
  readonly batches: number;
  readonly heldBatches: number;
  readonly bytes: number;
  readonly bytesMax: number;
}
