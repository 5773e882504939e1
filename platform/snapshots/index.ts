export { type ColdStore, openFileSnapshots } from './file-snapshots.ts';
export { type LmdbSnapshots, openLmdbSnapshots } from './lmdb-snapshots.ts';
export { type SnapshotTimes, scheduleSnapshots } from './schedule.ts';
export type { SnapshotFiles } from './snapshot-files.ts';
