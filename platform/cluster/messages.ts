import type { ZoneAddress } from '@millrace/kernel';

/** Name of a host process; the same after a restart. */
export type HostId = string;

/** A host’s sign of life, several in each lease, and what it has in its hands. */
export interface Heartbeat {
  readonly type: 'heartbeat';
  readonly host: HostId;
  /** Differs for each run of the process. */
  readonly incarnation: string;
  /** Counts the heartbeats of the run. */
  readonly number: number;
  /** The newest assignment that was carried out. */
  readonly version: number;
  /** Zones that are open. */
  readonly open: readonly ZoneAddress[];
  /** Zones it cannot be given up for: open, being opened, or being released. */
  readonly holding: readonly ZoneAddress[];
}

/** The answer to a heartbeat: which zones the host is to have, and how long it may act on that. */
export interface Assignment {
  readonly type: 'assign';
  /** Number of the heartbeat that this answers; the lease runs from when that was sent. */
  readonly answers: number;
  readonly incarnation: string;
  readonly version: number;
  readonly zones: readonly ZoneAddress[];
  readonly leaseMs: number;
}
