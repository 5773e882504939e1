import type { EventBatch } from './batch.ts';
import type { CommandMeta, Reply } from './definition.ts';
import type { HostOptions, ZoneStatus } from './host-options.ts';
import type { Claim } from './ports.ts';
import type { Zone } from './zone.ts';

/** A command that waits, with what it takes to answer it. */
export interface QueuedCommand {
  readonly command: unknown;
  readonly meta: CommandMeta | null;
  readonly answer: ((reply: Reply) => void) | null;
}

/** Over this span failures are counted. */
const FAILURES_SPAN_MS = 60_000;

/** What a host keeps of a zone beside the zone itself. */
export class ZoneEntry {
  readonly zone: Zone;
  status: ZoneStatus = 'opening';
  readonly mailbox: QueuedCommand[] = [];
  /** Stops what is scheduled for its status: its ticks while it is active, its retry while it is failed. */
  cancelTimer: () => void = () => {};
  /** The log has its events up to this seq. */
  durableSeq = 0;
  /** First seq of a hole in its record that the log does not know of yet. Its snapshots do not count until the hole is bridged. */
  lostFrom: number | null = null;
  /**
   * Set from a claim until the zone has come back under it, however many attempts that takes: how far the log had it, and what
   * was in the outbox then. What the log lacks has to be written under the new epoch, once.
   */
  takenOver: { readonly left: readonly EventBatch[]; readonly lastSeq: number } | null = null;
  /** The opening or rebuilding that is under way, or was last. */
  bringUp: Promise<void> = Promise.resolve();
  releasing: Promise<void> | null = null;
  /** What observers are told once the zone is what they are told of: nothing is published of a zone that is being rebuilt. */
  deferred: ((observers: HostOptions) => void)[] = [];
  /** The seq at the newest snapshot of each store; a zone that has not changed since needs no other. */
  readonly snapshotSeq = { hot: -1, cold: -1 };
  /** Rises with each use, over all zones of a host. */
  usedAt = 0;
  /** Resolves when it is stopped. */
  readonly gone = Promise.withResolvers<void>();
  #failures: number[] = [];

  constructor(zone: Zone) {
    this.zone = zone;
  }

  /** Whether its state is what its record says. */
  get isSound(): boolean {
    return this.status === 'active' || this.status === 'releasing';
  }

  get isStopped(): boolean {
    return this.status === 'stopped';
  }

  /** Begins to be owned under a claim. What was lost under an earlier epoch is no part of it. */
  own({ epoch, lastSeq }: Claim, left: readonly EventBatch[], random: () => number): void {
    this.zone.own(epoch, random);
    this.durableSeq = lastSeq;
    this.lostFrom = null;
    this.takenOver = { left, lastSeq };
  }

  /** Notes a failure. @returns how many there were of late, this one included */
  countFailure(now: number): number {
    this.#failures = [...this.#failures.filter((at) => now - at < FAILURES_SPAN_MS), now];
    return this.#failures.length;
  }

  answerAll(reply: Reply): void {
    for (const { answer } of this.mailbox.splice(0)) answer?.(reply);
  }
}
