import type { Checkpoint, EventBatch, WriterEnd } from './batch.ts';
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
 * Gives the random numbers of a zone: each call of the result returns the next one in [0, 1). Each opening of a zone under an epoch has a number of its
 * own, so no random number is drawn twice. The same zone, epoch and opening give the same sequence. Keep the seed secret.
 */
export type RandomNumbers = (zone: ZoneAddress, epoch: number, opening: number) => () => number;

/** A position in the log at which a read of a zone may start. Only the log that returned it can interpret it. */
export type LogPosition = number | { readonly offset: number; readonly epoch: number; readonly nonce: string; readonly index: number };

/** Reads the events of one zone. */
export interface ZoneHistory {
  /** The zone’s batches with events after `afterSeq`, in order. Reads the log from `from` on, or from its start when null. */
  read(zone: ZoneAddress, afterSeq: number, from: LogPosition | null): AsyncIterable<EventBatch>;
}

/** A place of a shard between two records. */
export interface ShardPlace {
  /** Where a follower continues; null when the shard has no events. */
  readonly position: LogPosition | null;
  /** Newest seq of each zone before the place, or a later one. */
  readonly heads: ReadonlyMap<ZoneAddress, number>;
}

/** What a follower of a shard gets at a time. */
export interface FollowedPart {
  /** Batches in the order of the log, each with a position from which a read of its zone finds all events after it. */
  readonly batches: readonly { readonly batch: EventBatch; readonly position: LogPosition }[];
  /** About how many records of the shard are after them. */
  readonly lag: number;
}

/**
 * The durable log of a topic, as far as the kernel needs it. It is divided into shards, each with one owner at a time. The log itself decides who that is:
 * it accepts events of the newest owner only, whatever leases say.
 */
export interface Journal extends ZoneHistory {
  /** The shard that has the events of a zone: a whole number from 0 on, the same for all time. */
  shardOf(zone: ZoneAddress): number;
  /** Number of appends to a shard that may wait for the log at a time. */
  readonly inFlightMax: number;
  /**
   * Makes the caller the owner of a shard, under a new epoch. From then on, the log refuses the events of earlier owners.
   * @throws ClaimLost when another claim was first, or the lease has ended; Error when the log cannot be reached. The claim may then take effect later.
   */
  own(shard: number, claim: ShardClaim): Promise<ShardWriter>;
  /** A recent place of a shard, also of one that another host owns. */
  placeOf(shard: number): Promise<ShardPlace>;
  /**
   * Reads a shard, also one that another host owns, until `signal` aborts: its batches as they become durable, from the earliest of some positions on.
   * @param from null is the start of the log; where retention has dropped the records, the oldest one counts
   * @throws Error when the log cannot be read, or retention has dropped what comes next
   */
  follow(shard: number, from: readonly (LogPosition | null)[], signal: AbortSignal): AsyncIterable<FollowedPart>;
}

export interface ShardClaim {
  readonly lease: Lease;
  /**
   * Called before the claim can take effect, with the name of the new owner and of the one before; '' for none. No two owners have the same name. The
   * claim takes effect only if `previous` is the owner until then. An exception prevents it.
   */
  readonly onPrevious: (owner: string, previous: string) => void;
}

/** The right to own shards, for a limited time. It only prevents useless work and old answers: the log decides who owns a shard. */
export interface Lease {
  /** Remaining time, ms; zero or less when it has ended. */
  leftMs(): number;
}

/** One ownership of a shard. Once it has ended, it has for ever. */
export interface ShardWriter {
  /** Higher than that of all owners before. */
  readonly epoch: number;
  /** Newest seq of a zone that this owner or one before it has recorded; 0 without any, and when a later owner has. */
  headOf(zone: ZoneAddress): number;
  /**
   * Appends batches in the order of the calls. Resolves when they are durable, with a position from which a read finds them.
   * @throws SequenceGap, TooLarge: nothing is written, and the writer goes on. WriterEnded: the outcome is unknown. After any other error it is unknown, too.
   */
  append(batches: readonly EventBatch[]): Promise<LogPosition>;
  readonly ended: Promise<WriterEnd>;
  /** Waits for the outcome of all appends, then ends. */
  release(): Promise<void>;
}

export interface Snapshot extends Checkpoint {
  readonly zone: ZoneAddress;
  readonly version: number;
  readonly epoch: number;
  readonly seq: number;
  /** Time of the capture, epoch ms. */
  readonly time: number;
  /** Where in the log to start reading the events after it. */
  readonly position: LogPosition | null;
}

export interface SnapshotLabel {
  readonly zone: ZoneAddress;
  readonly epoch: number;
  readonly seq: number;
  readonly time: number;
}

export interface SnapshotStore {
  /**
   * Captures the snapshot before it returns; resolves when it is stored.
   * @param recorded when the log has its events: it is not stored before, and not at all if this rejects
   */
  save(snapshot: Snapshot, recorded?: Promise<void>): Promise<void>;
  /** The stored snapshots of a zone, newest first: by epoch, then by seq. */
  list(zone: ZoneAddress): Promise<SnapshotLabel[]>;
  /** Rejects when the snapshot is missing or damaged. */
  load(label: SnapshotLabel): Promise<Snapshot>;
}

/** Overflow of the outboxes on local disk. It survives the process. */
export interface Spools {
  /**
   * The spool of a new owner of a shard. It begins with what its predecessor has stored until now, and is stored as its successor before this returns: if
   * the claim takes effect, and the process then ends, the next owner gets both. It reads nothing yet.
   */
  open(shard: number, owner: string, predecessor: string): Spool;
  /** Closes the spools of a shard. What they hold is kept. */
  close(shard: number): void;
  /** Shards with a spool of an earlier process that this host writes to the log at its start. */
  left(): number[];
  /** Size of the spools of all shards of this host, and its limit. */
  readonly bytes: number;
  readonly bytesMax: number;
}

/** A queue of batches on disk that the log of a shard may lack. */
export interface Spool {
  /** Reads what the predecessor has left. Called once the claim has taken effect, before anything else. @throws when it cannot be read */
  begin(): void;
  /** Adds batches at the end, without waiting for the disk. Returns how many of them, from the first on, had room. */
  add(batches: readonly EventBatch[]): number;
  /** The oldest batches, up to about `eventsMax` events; at least one unless the spool is empty. */
  oldest(eventsMax: number): EventBatch[];
  /** Removes the `count` oldest batches. */
  drop(count: number): void;
  /** Removes the `count` oldest batches, which the log will never accept. The spool keeps them aside for an operator. */
  giveUp(count: number): void;
  /** All batches of a zone, oldest first. */
  ofZone(zone: ZoneAddress): EventBatch[];
  readonly batches: number;
}
