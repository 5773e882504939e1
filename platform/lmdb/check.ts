import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PageDamaged, PageFile } from './pages.ts';

const DATA_FILE = 'data.mdb';

/**
 * `meta` checks only the meta pages. No more is possible while a process writes to the store: it reuses pages that a slow reader still follows, and
 * extends the file. `quick` also checks the size, and follows the trees only if the file is shorter than the meta pages state. `thorough` always follows
 * the trees.
 */
export type CheckDepth = 'meta' | 'quick' | 'thorough';

/**
 * Checks the LMDB store in a folder without LMDB, which crashes the process on a damaged file.
 * @param depth only `meta` while the store is open in some process
 * @param pagesMax maximum number of pages to check
 * @returns a description of the damage; null when none was found, or there is no store
 */
export function checkLmdb(folder: string, depth: CheckDepth, pagesMax = Number.POSITIVE_INFINITY): string | null {
  const path = join(folder, DATA_FILE);
  if (!existsSync(path)) return null;
  if (statSync(path).size === 0) return `${path} is empty`;
  let file: PageFile | null = null;
  try {
    file = new PageFile(path);
    const { pages, pageBytes } = file.meta();
    // Free pages at the end of the file may be missing.
    if (depth === 'thorough' || (depth === 'quick' && file.size < pages * pageBytes)) file.walk(pagesMax);
    return null;
  } catch (error) {
    if (error instanceof PageDamaged) return `${path}: ${error.message}`;
    throw error;
  } finally {
    file?.close();
  }
}
