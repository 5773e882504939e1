import type { ZoneAddress } from './command.ts';
import type { HostOptions } from './host-options.ts';
import type { Observers } from './observers.ts';
import type { ZoneEntry } from './zone-entry.ts';

/** What the parts of a host share. Each part names what it uses. */
export interface HostParts {
  readonly options: HostOptions;
  readonly entries: Map<ZoneAddress, ZoneEntry>;
  readonly observers: Observers;
  /** Called when another owner has claimed a zone: its newest decisions are not valid. */
  readonly onStale: (entry: ZoneEntry) => void;
  /** Called when a zone threw; the zone must be rebuilt. */
  readonly onFailed: (entry: ZoneEntry, error: unknown) => void;
}
