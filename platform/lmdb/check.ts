import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PageDamaged, PageFile } from './pages.ts';

const DATA_FILE = 'data.mdb';

/**
 * `meta` looks only at the first pages, which is all that can be judged while a process writes to the store: it uses pages again that a slow reader still
 * follows, and makes the file longer. `quick` also compares the size, and follows the trees only where the file is shorter than the first pages say.
 * `thorough` always follows the trees.
 */
export type CheckDepth = 'meta' | 'quick' | 'thorough';

/**
 * What is wrong with the LMDB store in a folder, without LMDB, which a damaged file ends the process with.
 * @param depth only `meta` while the store is open in some process
 * @param pagesMax pages that are looked at
 * @returns null when nothing is wrong that this finds, or there is no store
 */
export function checkLmdb(folder: string, depth: CheckDepth, pagesMax = Number.POSITIVE_INFINITY): string | null {
  const path = join(folder, DATA_FILE);
  if (!existsSync(path)) return null;
  if (statSync(path).size === 0) return `${path} is empty`;
  let file: PageFile | null = null;
  try {
    file = new PageFile(path);
    const { pages, pageBytes } = file.meta();
    // Pages at the end that are free need not be there.
    if (depth === 'thorough' || (depth === 'quick' && file.size < pages * pageBytes)) file.walk(pagesMax);
    return null;
  } catch (error) {
    if (error instanceof PageDamaged) return `${path}: ${error.message}`;
    throw error;
  } finally {
    file?.close();
  }
}
