export { type ReadRange, requireOffsets } from '@millrace/base/offsets';
export { ConsumerGroup } from './consumer.ts';
export { writeEarlierSpools } from './earlier-spools.ts';
export { envelopesOf } from './envelopes.ts';
export {
  type ConsumerGap,
  type ConsumerRegistry,
  type ConsumerStats,
  type DeadLetterBox,
  type EventLog,
  type KnownGroup,
  type LoggedBatch,
  type LogRead,
  type LogStats,
  OffsetOutOfRange,
  type OpenDeadLetter,
  type RetentionRule,
} from './event-log.ts';
export { EMPTY_GROUP, type GroupState, type Heartbeat, type HeartbeatReply, heartbeat, withoutMember } from './group-state.ts';
export { type GroupStore, LeasedMembership } from './leased-membership.ts';
export { LmdbLog, openLmdbLog } from './lmdb-log.ts';
export type { ShardPlacement } from './lmdb-owners.ts';
export { type GroupMember, type GroupMembership, type HeldPartition, type JoinedGroup, StaleGeneration } from './membership.ts';
export { advancedOffsets, lagOf } from './offsets.ts';
export { PARTITIONS } from './partitions.ts';
export { CannotApply, type Projection } from './projection.ts';
export { type EventReactor, type Reaction, type ReactorParts, reactorProjection } from './reactor-projection.ts';
export { type RepairReport, type RepairSources, repairLog } from './repair.ts';
export type { SpoolDisk, SpoolFile } from './spool-disk.ts';
export { readSpools, type SpooledEvents, setSpoolsAside } from './spooled-events.ts';
export { type FileSpools, openSpools } from './spools.ts';
export { type DeadEvent, openStoredLog, type StoredLog } from './stored-log.ts';
export type { CarryingSnapshot } from './written-batch.ts';
