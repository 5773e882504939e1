export {
  after,
  type Checkpoint,
  ClaimLost,
  type EventBatch,
  lackingOf,
  lastSeqOf,
  SequenceGap,
  TooLarge,
  type WriterEnd,
  WriterEnded,
} from './batch.ts';
export * from './command.ts';
export { messageOf, retryDelayMs, within } from './deadline.ts';
export * from './definition.ts';
export { type HostStats, ZoneHost } from './host.ts';
export type { HostFailure, HostOptions, ZoneStatus } from './host-options.ts';
export type * from './ports.ts';
export { type PointInTime, type RecoveryStep, recover } from './recovery.ts';
export { REPLIED, type RepliedEvent } from './replies.ts';
export { contradicts, RecordBroken, StateReplay } from './state-replay.ts';
