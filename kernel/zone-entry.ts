import type { EventBatch } from './batch.ts';
import type { CommandMeta, Refused, Reply, ZoneAddress } from './command.ts';
import type { HostOptions, ZoneStatus } from './host-options.ts';
import type { Zone } from './zone.ts';

/** A command in a mailbox, with its metadata and the callback for its reply (null: no reply is wanted). */
export interface QueuedCommand {
  readonly command: unknown;
  readonly meta: CommandMeta | null;
  readonly onReply: ((reply: Reply) => void) | null;
}

/** The shard of a zone, as the other parts of its host use it. See `Shard`. */
export interface ZoneShard {
  readonly epoch: number;
  readonly outbox: ZoneOutbox;
  owned(): Promise<void>;
  headOf(zone: ZoneAddress): number;
  adopt(entry: ZoneEntry): void;
  leave(entry: ZoneEntry): void;
  leaveAtOnce(entry: ZoneEntry): void;
  lost(reason: string): void;
}

/** The outbox of the shard of a zone. See `Outbox`. */
export interface ZoneOutbox {
  readonly isFlowing: boolean;
  records(zone: ZoneAddress): boolean;
  push(batches: readonly EventBatch[]): void;
  bridge(entry: ZoneEntry): void;
  promises(zone: ZoneAddress): boolean;
  whenDurable(zone: ZoneAddress, seq: number, done: (refusal: Refused | null) => void): void;
  unrecorded(zone: ZoneAddress): EventBatch[];
  lostUpTo(zone: ZoneAddress): number | undefined;
  drained(): Promise<void>;
  flowing(): Promise<void>;
}

/** Period over which failures of a zone are counted, in ms. */
const FAILURES_SPAN_MS = 60_000;

/** Data of a host about one of its zones. */
export class ZoneEntry {
  readonly zone: Zone;
  readonly shard: ZoneShard;
  status: ZoneStatus = 'opening';
  readonly mailbox: QueuedCommand[] = [];
  /** Cancels the timer of the current status: the ticks while it is active, the retry while it is failed. */
  cancelTimer: () => void = () => {};
  /** The log has the zone’s events up to this seq. */
  durableSeq = 0;
  /** The current or last opening or rebuilding. */
  bringUp: Promise<void> = Promise.resolve();
  releasing: Promise<void> | null = null;
  /** Seq up to which its events were found when it was last recovered. Those after it, up to then, are lost. */
  recoveredSeq = 0;
  /** Notifications that wait until the zone is sound: nothing is published of a zone that is being rebuilt. */
  deferred: ((observers: HostOptions) => void)[] = [];
  /** Seq of the newest snapshot in each store, -1 without one. An unchanged zone needs no other. */
  readonly snapshotSeq = { hot: -1, cold: -1 };
  /** Number of the last use of the zone. It counts the uses of all zones of a host. */
  usedAt = 0;
  /** Resolves when the zone is stopped. */
  readonly gone = Promise.withResolvers<void>();
  #failures: number[] = [];

  constructor(zone: Zone, shard: ZoneShard) {
    this.zone = zone;
    this.shard = shard;
  }

  /** Whether the state of the zone matches its record. */
  get isSound(): boolean {
    return this.status === 'active' || this.status === 'releasing';
  }

  /** Counts a failure at `now` (elapsed ms). @returns failures within the last minute, this one included */
  countFailure(now: number): number {
    this.#failures = [...this.#failures.filter((at) => now - at < FAILURES_SPAN_MS), now];
    return this.#failures.length;
  }

  /** Gives the commands in the mailbox, or some of them, the same reply, and removes them. */
  replyToAll(reply: Reply, isMeant: (queued: QueuedCommand) => boolean = () => true): void {
    const queued = this.mailbox.splice(0);
    for (const one of queued) if (!isMeant(one)) this.mailbox.push(one);
    for (const one of queued) if (isMeant(one)) one.onReply?.(reply);
  }
}
