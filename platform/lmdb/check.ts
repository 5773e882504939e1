import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PageDamaged, PageFile } from './pages.ts';

const DATA_FILE = 'data.mdb';

/**
 * What is wrong with the LMDB store in a folder, without LMDB, which a damaged file ends the process with.
 * @param depth `quick` looks at the first two pages and the size, and follows the trees only where the file is shorter than those say; `thorough` always
 * follows the trees
 * @param pagesMax pages that are looked at
 * @returns null when nothing is wrong that this finds, or there is no store
 */
export function checkLmdb(folder: string, depth: 'quick' | 'thorough', pagesMax = Number.POSITIVE_INFINITY): string | null {
  const path = join(folder, DATA_FILE);
  if (!existsSync(path)) return null;
  if (statSync(path).size === 0) return `${path} is empty`;
  let file: PageFile | null = null;
  try {
    file = new PageFile(path);
    const { pages, pageBytes } = file.meta();
    // Pages at the end that are free need not be there.
    if (depth === 'thorough' || file.size < pages * pageBytes) file.walk(pagesMax);
    return null;
  } catch (error) {
    if (error instanceof PageDamaged) return `${path}: ${error.message}`;
    throw error;
  } finally {
    file?.close();
  }
}
