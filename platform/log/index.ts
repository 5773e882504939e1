export { CannotApply, type ConsumerFigures, ConsumerGroup, type Projection } from './consumer.ts';
export type { DeadLetterBox, EventLog, LogFigures, LoggedBatch, RetentionRule } from './event-log.ts';
export { openLmdbLog } from './lmdb-log.ts';
export { openSpool } from './spool.ts';
