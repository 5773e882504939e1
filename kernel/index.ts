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
export type { HostFigures, HostOptions, HostTrouble, ZoneStatus } from './host-options.ts';
export { Past, RecordBroken } from './past.ts';
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
export { type Moment, type RecoveryStep, recover } from './recovery.ts';
