import type { EventBatch } from './batch.ts';
import type { CommandMeta, Reply } from './command.ts';
import type { HostOptions, ZoneStatus } from './host-options.ts';
import type { Claim } from './ports.ts';
import type { Zone } from './zone.ts';

/** A command in a mailbox, with its metadata and the callback for its reply (null: no reply is wanted). */
export interface QueuedCommand {
  readonly command: unknown;
  readonly meta: CommandMeta | null;
  readonly onReply: ((reply: Reply) => void) | null;
}

/** Period over which failures of a zone are counted, in ms. */
const FAILURES_SPAN_MS = 60_000;

/** Data of a host about one of its zones. */
export class ZoneEntry {
  readonly zone: Zone;
  status: ZoneStatus = 'opening';
  readonly mailbox: QueuedCommand[] = [];
  /** Cancels the timer of the current status: the ticks while it is active, the retry while it is failed. */
  cancelTimer: () => void = () => {};
  /** The log has the zone’s events up to this seq. */
  durableSeq = 0;
  /** First seq of a lost range, until its batch is queued for the log; else null. Until then no snapshot is taken. */
  lostFrom: number | null = null;
  /**
   * Set from a claim until the zone has recovered under it, over any number of attempts. Holds the zone’s last seq in the log and
   * its batches in the outbox, as they were at the claim. Events that the log lacks must be written under the new epoch, once.
   */
  takenOver: { readonly left: readonly EventBatch[]; readonly lastSeq: number } | null = null;
  /** The current or last opening or rebuilding. */
  bringUp: Promise<void> = Promise.resolve();
  releasing: Promise<void> | null = null;
  /** Notifications that wait until the zone is sound: nothing is published of a zone that is being rebuilt. */
  deferred: ((observers: HostOptions) => void)[] = [];
  /** Seq of the newest snapshot in each store, -1 without one. An unchanged zone needs no other. */
  readonly snapshotSeq = { hot: -1, cold: -1 };
  /** Number of the last use of the zone. It counts the uses of all zones of a host. */
  usedAt = 0;
  /** Resolves when the zone is stopped. */
  readonly gone = Promise.withResolvers<void>();
  #failures: number[] = [];

  constructor(zone: Zone) {
    this.zone = zone;
  }

  /** Whether the state of the zone matches its record. */
  get isSound(): boolean {
    return this.status === 'active' || this.status === 'releasing';
  }

  /** Takes ownership under a claim. Events lost under an earlier epoch are not part of it. */
  own({ epoch, lastSeq }: Claim, left: readonly EventBatch[], random: () => number): void {
    this.zone.own(epoch, random);
    this.durableSeq = lastSeq;
    this.lostFrom = null;
    this.takenOver = { left, lastSeq };
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
