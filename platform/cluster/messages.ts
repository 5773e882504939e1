import type { ZoneAddress } from '@millrace/kernel';

/** Name of a host process; the same after a restart. */
export type HostId = string;

/** Heartbeat of a host, several per lease, with the zones that it holds. */
export interface Heartbeat {
  readonly type: 'heartbeat';
  readonly host: HostId;
  /** Id of the run of the process. */
  readonly incarnation: string;
  /** Number of the heartbeat in this run, from 1. */
  readonly number: number;
  /** Version of the newest assignment that the host has applied. */
  readonly version: number;
  /** Name of the machine of the host. Zones and their standbys are placed on different ones, if possible. */
  readonly machine?: string;
  /** Zones that are open. */
  readonly open: readonly ZoneAddress[];
  /** Zones that the host holds: opening, open, failed or releasing. No other host may get them. */
  readonly holding: readonly ZoneAddress[];
}

/** Reply to a heartbeat: the zones of the host, and the length of its lease. */
export interface Assignment {
  readonly type: 'assign';
  /** Number of the heartbeat that this is the reply to. The lease starts when that heartbeat was sent. */
  readonly answers: number;
  readonly incarnation: string;
  readonly version: number;
  readonly zones: readonly ZoneAddress[];
  /** Zones of other hosts that this host stands by for. */
  readonly standby?: readonly ZoneAddress[];
  readonly leaseMs: number;
}
