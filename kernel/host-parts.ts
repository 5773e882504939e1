import { refused, type ZoneAddress } from './command.ts';
import type { HostOptions } from './host-options.ts';
import type { Observers } from './observers.ts';
import type { Lease } from './ports.ts';
import type { ZoneEntry } from './zone-entry.ts';

/** What the parts of a host share. Each part names what it uses. */
export interface HostParts {
  readonly options: HostOptions;
  readonly entries: Map<ZoneAddress, ZoneEntry>;
  readonly observers: Observers;
  /** Called when another owner has claimed the shard of a zone: its newest decisions are not valid. */
  readonly onLost: (entry: ZoneEntry, reason: string) => void;
  /** Called when a zone threw; the zone must be rebuilt. */
  readonly onFailed: (entry: ZoneEntry, error: unknown) => void;
}

/** The lease of a host that shares its log with no other. */
export const ENDLESS: Lease = { leftMs: () => Number.POSITIVE_INFINITY };

/** Refusal of a zone that decides nothing without its log. */
export const ISOLATED = refused('LOG_UNAVAILABLE', 'Retry when the log is available.');

/** Whether a zone decides nothing now, because its events would not go straight to the log. */
export function isIsolated({ shard }: Pick<ZoneEntry, 'shard'>, { whenIsolated }: HostOptions): boolean {
  return whenIsolated === 'stop' && !shard.outbox.isFlowing;
}

/** Whether the host may decide and reply now. */
export function hasLease({ lease }: HostOptions): boolean {
  return lease === undefined || lease.leftMs() > 0;
}
