export { admit, after, type Checkpoint, type EventBatch, lastSeqOf, writerOf } from './batch.ts';
export { messageOf, within } from './deadline.ts';
export * from './definition.ts';
export { ZoneHost } from './host.ts';
export type { HostFailure, HostOptions, HostStats, ZoneStatus } from './host-options.ts';
export { Past, RecordBroken } from './past.ts';
export type * from './ports.ts';
export { type PointInTime, type RecoveryStep, recover } from './recovery.ts';
export { REPLIED, type RepliedEvent } from './replies.ts';
