export { admit, after, type Checkpoint, type EventBatch, envelopesOf, eventId, lastSeqOf, writerOf } from './batch.ts';
export {
  type AnyZoneDefinition,
  type CommandMeta,
  type Context,
  defineZone,
  keyOf,
  kindOf,
  type Reply,
  type ZoneAddress,
  type ZoneDefinition,
  zoneAddress,
} from './definition.ts';
export { type HostFigures, type HostOptions, type HostTrouble, ZoneHost } from './host.ts';
export type { Appended, Claim, Clock, LogPosition, Snapshot, SnapshotLabel, SnapshotStore, Spool, ZoneLog } from './ports.ts';
export { mix, Random, seedOf } from './random.ts';
export { type Reaction, type Reactor, reactionsOf } from './reactor.ts';
export { type Moment, messageOf, Past, RecordBroken, type RecoveryStep, recover } from './recovery.ts';
