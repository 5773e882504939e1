export {
  connectDatabase,
  type Database,
  type DatabaseAddress,
  type EmbeddedDatabase,
  isSocketFolder,
  migrateDatabase,
  probeDatabase,
  serveEmbedded,
  type Transaction,
} from './database.ts';
export { marksOf, offsetsOf, projectionMarks, projectionOffsets, saveMarks, saveOffsets } from './progress.ts';
export { isDatabaseAway, troubleOf } from './trouble.ts';
