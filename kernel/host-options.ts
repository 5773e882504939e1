import type { EventBatch } from './batch.ts';
import type { ZoneAddress } from './definition.ts';
import type { OutboxFigures } from './outbox.ts';
import type { Clock, RandomNumbers, SnapshotStore, Spool, ZoneLog } from './ports.ts';
import type { RecoveryStep } from './recovery.ts';
import type { SnapshotFigures } from './snapshots.ts';
import type { ZoneStatus } from './zone-entry.ts';

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
  readonly onTrouble?: (trouble: HostTrouble) => void;
  readonly onTick?: (figures: { zone: ZoneAddress; lateMs: number; ms: number; skippedSteps: number }) => void;
  readonly onSnapshot?: (figures: SnapshotFigures) => void;
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

export interface HostTrouble {
  readonly kind: 'zone-failed' | 'zone-stopped' | 'zone-lost' | 'log' | 'snapshot' | 'recovery' | 'observer';
  readonly zone?: ZoneAddress;
  readonly message: string;
}

export interface HostFigures {
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
  readonly outbox: OutboxFigures;
}
