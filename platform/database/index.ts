export { type Database, openPglite, type Transaction } from './database.ts';
export { marksOf, offsetsOf, projectionMarks, projectionOffsets, saveMarks, saveOffset } from './progress.ts';
