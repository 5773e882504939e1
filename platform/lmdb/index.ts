export { type CheckDepth, checkLmdb } from './check.ts';
export { openedBy, transactionsEnded } from './open-shared.ts';
export { type Node, PageFile } from './pages.ts';
