export {
  connectDatabase,
  type Database,
  type DatabaseAddress,
  migrateDatabase,
  probeDatabase,
  type Statements,
  type Transaction,
} from './database.ts';
export { failureReason, isDatabaseUnavailable } from './failure-reason.ts';
export { groupsWithOffsets, marksOf, offsetsOf, projectionMarks, projectionOffsets, saveMarks, saveOffsets } from './progress.ts';
export { isSocketFolder } from './socket.ts';
