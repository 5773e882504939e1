export { type CheckDepth, checkLmdb } from './check.ts';
export { openedBy } from './open-shared.ts';
export { type Node, PageFile } from './pages.ts';
