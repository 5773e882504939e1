import type { EventBatch } from './batch.ts';
import type { ZoneAddress } from './command.ts';
import type { Clock, Journal, Lease, RandomNumbers, SnapshotStore, Spools } from './ports.ts';
import type { RecoveryStep } from './recovery.ts';

/**
 * Lifecycle step of a zone on its host. A zone decides while it is `active`. On entering `releasing` it decides the commands that
 * already wait, and takes no more. Its state is readable and published while it is `active` or `releasing`. In all other steps,
 * its state does not match its record yet, or no longer.
 *
 *     opening -> active -> releasing -> stopped
 *                active -> rebuilding -> active
 *                          rebuilding -> failed -> rebuilding
 *
 * A failed opening, `abandon` and `close` lead to `stopped` from any step.
 */
export type ZoneStatus = 'opening' | 'active' | 'rebuilding' | 'failed' | 'releasing' | 'stopped';

/** Dependencies, observers and limits of a host. Observers must not block; what they throw is reported as `observer`. */
export interface HostOptions {
  readonly log: Journal;
  readonly spools: Spools;
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
  readonly clock: Clock;
  /** Without a lease the host decides nothing, and shows no state. Default: it never ends. */
  readonly lease?: Lease;
  /**
   * What zones do while events of their shard do not go straight to the log. `continue` (default): they decide, and their events go to the spool. `stop`: they
   * decide nothing; commands are refused with `LOG_UNAVAILABLE`, those that wait included, and ticks are left out. A log that does not respond is noticed
   * after 5 s at most.
   */
  readonly whenIsolated?: 'continue' | 'stop';
  /** Source of the random numbers of zones. */
  readonly random: RandomNumbers;
  /**
   * Receives each batch at once and in order, with the zone’s state after it. For streams and views. While a zone is rebuilt, its
   * observers get nothing. When it is active again, they first get the missed batches, each with the recovered state.
   * Batches that were lost meanwhile are left out.
   */
  readonly onDecided?: (batch: EventBatch, state: unknown) => void;
  /** Receives each batch that the log has, after `onDecided`. For reactors, which must not act on what a crash could still undo. */
  readonly onDurable?: (batch: EventBatch) => void;
  readonly onStatus?: (zone: ZoneAddress, status: ZoneStatus) => void;
  readonly onFailure?: (failure: HostFailure) => void;
  /** Receives the delay, the duration and the skipped steps of each tick, in ms and steps. */
  readonly onTick?: (stats: { zone: ZoneAddress; lateMs: number; ms: number; skippedSteps: number }) => void;
  readonly onSnapshot?: (stats: SnapshotStats) => void;
  /** Receives the steps of a recovery, and the number of decided events that are lost: the state of the zone lacks them. */
  readonly onRecovered?: (zone: ZoneAddress, steps: readonly RecoveryStep[], lostEvents: number) => void;
  readonly mailboxMax?: number;
  readonly turnCommandsMax?: number;
  readonly turnTotalMax?: number;
  readonly durableWaitingMax?: number;
  /** Limit of open zones. Beyond it, the least recently used zones without ticks are released. Default: no limit. */
  readonly zonesMax?: number;
  readonly outboxMemoryEventsMax?: number;
  /** Limit of standby copies of zones that other hosts own. Beyond it, those of the zones that have not changed for longest are dropped. */
  readonly standbyZonesMax?: number;
}

/** A failure that the host survived. `zone` is set when it concerns one zone. */
export interface HostFailure {
  readonly kind: 'zone-failed' | 'zone-stopped' | 'zone-lost' | 'log' | 'snapshot' | 'recovery' | 'standby' | 'observer';
  readonly zone?: ZoneAddress;
  readonly message: string;
}

export type SnapshotKind = 'hot' | 'cold';

/** Result of one snapshot. `time` in epoch ms, `ms` its duration; `failure` is null when it was stored. */
export interface SnapshotStats {
  readonly zone: ZoneAddress;
  readonly store: SnapshotKind;
  readonly seq: number;
  readonly time: number;
  readonly ms: number;
  readonly failure: string | null;
}
