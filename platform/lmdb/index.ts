export { type CheckDepth, checkLmdb } from './check.ts';
export { type Node, PageFile } from './pages.ts';
