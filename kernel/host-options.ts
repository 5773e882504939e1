import type { EventBatch } from './batch.ts';
import type { ZoneAddress } from './definition.ts';
import type { Clock, RandomNumbers, SnapshotStore, Spool, ZoneLog } from './ports.ts';
import type { RecoveryStep } from './recovery.ts';

/**
 * Where a zone is in its life on a host. It decides while it is `active`; it is shown while it is `active` or `releasing`;
 * in all others its state is not yet, or no longer, what its record says.
 *
 *     opening -> active -> releasing -> stopped
 *                active -> rebuilding -> active
 *                          rebuilding -> failed -> rebuilding
 */
export type ZoneStatus = 'opening' | 'active' | 'rebuilding' | 'failed' | 'releasing' | 'stopped';

/** What a host is made of, and who hears of what it does. Observers must not wait; what they throw is reported as `observer`. */
export interface HostOptions {
  readonly log: ZoneLog;
  readonly spool: Spool;
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
  readonly clock: Clock;
  /** Where the random numbers of zones come from. */
  readonly random: RandomNumbers;
  /**
   * What was decided, at once and in order, with the state that the zone has after it: for streams and views. While a zone is
   * rebuilt its observers hear nothing; what they missed comes first when it is back.
   */
  readonly onDecided?: (batch: EventBatch, state: unknown) => void;
  /** What the log has now, after `onDecided`: for reactors, which must not act on what a crash could still undo. */
  readonly onDurable?: (batch: EventBatch) => void;
  readonly onStatus?: (zone: ZoneAddress, status: ZoneStatus) => void;
  readonly onFailure?: (failure: HostFailure) => void;
  readonly onTick?: (stats: { zone: ZoneAddress; lateMs: number; ms: number; skippedSteps: number }) => void;
  readonly onSnapshot?: (stats: SnapshotStats) => void;
  readonly onRecovered?: (zone: ZoneAddress, steps: readonly RecoveryStep[]) => void;
  readonly mailboxMax?: number;
  readonly turnCommandsMax?: number;
  readonly turnTotalMax?: number;
  readonly durableWaitingMax?: number;
  /** Zones that are kept open; beyond it the least recently used that do not tick are released. Without it, all. */
  readonly zonesMax?: number;
  readonly hotEveryMs?: number;
  readonly coldEveryMs?: number;
  readonly outboxMemoryEventsMax?: number;
}

export interface HostFailure {
  readonly kind: 'zone-failed' | 'zone-stopped' | 'zone-lost' | 'log' | 'snapshot' | 'recovery' | 'observer';
  readonly zone?: ZoneAddress;
  readonly message: string;
}

export interface HostStats {
  readonly zones: number;
  readonly waitingCommands: number;
  /** Durable commands that wait for their turn or for the log. */
  readonly durableWaiting: number;
  readonly decidedCommands: number;
  readonly refusedBusy: number;
  readonly turns: number;
  readonly zoneFailures: number;
  readonly observerFailures: number;
  readonly snapshotsSkipped: number;
  readonly outbox: OutboxStats;
}

export interface OutboxStats {
  /** `flowing`: straight to the log. `spooling`: by way of the disk, because the log is unavailable or too slow. */
  readonly mode: 'flowing' | 'spooling';
  readonly waitingEvents: number;
  readonly waitingEventsMax: number;
  readonly spooledBatches: number;
  readonly spooledBytes: number;
  readonly spooledBytesMax: number;
  readonly lostEvents: number;
  readonly appendedEvents: number;
  readonly failures: number;
}

export type SnapshotKind = 'hot' | 'cold';

/** What became of a snapshot. */
export interface SnapshotStats {
  readonly zone: ZoneAddress;
  readonly store: SnapshotKind;
  readonly seq: number;
  readonly time: number;
  readonly ms: number;
  readonly failure: string | null;
}
