export { admit, after, type Checkpoint, type EventBatch, lastSeqOf, writerOf } from './batch.ts';
export { messageOf, within } from './deadline.ts';
export {
  type AnyZoneDefinition,
  type CommandMeta,
  type Context,
  defineZone,
  KERNEL_REFUSALS,
  keyOf,
  kindOf,
  type Reply,
  type ZoneAddress,
  type ZoneDefinition,
  zoneAddress,
} from './definition.ts';
export { ZoneHost } from './host.ts';
export type { HostFigures, HostOptions, HostTrouble } from './host-options.ts';
export type {
  Appended,
  Claim,
  Clock,
  LogPosition,
  RandomNumbers,
  Snapshot,
  SnapshotLabel,
  SnapshotStore,
  Spool,
  ZoneLog,
} from './ports.ts';
export { type Moment, Past, RecordBroken, type RecoveryStep, recover } from './recovery.ts';
export type { ZoneStatus } from './zone-entry.ts';
