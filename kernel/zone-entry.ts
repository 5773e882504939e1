import type { EventBatch } from './batch.ts';
import type { CommandMeta, Reply } from './definition.ts';
import type { Beat } from './metronome.ts';
import { Ring } from './ring.ts';
import type { Zone } from './zone.ts';

/**
 * Where a zone is in its life on a host. It decides while it is `active`; it is shown while it is `active` or `releasing`;
 * in all others its state is not yet, or no longer, what its record says.
 *
 *     opening -> active -> releasing -> stopped
 *                active -> rebuilding -> active
 *                          rebuilding -> failed -> rebuilding
 */
export type ZoneStatus = 'opening' | 'active' | 'rebuilding' | 'failed' | 'releasing' | 'stopped';

/** A command that waits, with what it takes to answer it. */
export interface QueuedCommand {
  readonly command: unknown;
  readonly meta: CommandMeta | null;
  readonly answer: ((reply: Reply) => void) | null;
}

const nothing = () => {};
/** Over this span failures are counted. */
const FAILURES_SPAN_MS = 60_000;

/** What a host keeps of a zone beside the zone itself. */
export class ZoneEntry {
  readonly zone: Zone;
  status: ZoneStatus = 'opening';
  readonly mailbox = new Ring<QueuedCommand>();
  /** Whether it waits for its part of a turn. */
  isReady = false;
  ticker: Beat | null = null;
  cancelRetry: () => void = nothing;
  /**
   * Set from a claim until the zone has come back under it, however many attempts that takes: how far the log had it, and what
   * was in the outbox then. What the log lacks has to be written under the new epoch, once.
   */
  takenOver: { readonly left: readonly EventBatch[]; readonly lastSeq: number } | null = null;
  /** The opening or rebuilding that is under way, or was last. */
  bringUp: Promise<void> = Promise.resolve();
  releasing: Promise<void> | null = null;
  /** What observers are told once the zone is what they are told of: nothing is published of a zone that is being rebuilt. */
  deferred: (() => void)[] = [];
  /** The seq at the newest snapshot of each store; a zone that has not changed since needs no other. */
  readonly snapshotSeq = { hot: -1, cold: -1 };
  /** Rises with each use, over all zones of a host. */
  usedAt = 0;
  /** Resolves when the host has let go of it. */
  readonly gone: Promise<void>;
  #leave: () => void = nothing;
  #failures: number[] = [];

  constructor(zone: Zone) {
    this.zone = zone;
    this.gone = new Promise((resolve) => {
      this.#leave = resolve;
    });
  }

  /** Whether its state is what its record says. */
  get isSound(): boolean {
    return this.status === 'active' || this.status === 'releasing';
  }

  /** Notes a failure. @returns how many there were of late, this one included */
  countFailure(now: number): number {
    this.#failures = [...this.#failures.filter((at) => now - at < FAILURES_SPAN_MS), now];
    return this.#failures.length;
  }

  leave(): void {
    this.cancelRetry();
    this.deferred = [];
    this.#leave();
  }

  answerAll(reply: Reply): void {
    for (let queued = this.mailbox.take(); queued; queued = this.mailbox.take()) queued.answer?.(reply);
  }
}
