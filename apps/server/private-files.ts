import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Bits of a file mode with the access of other users. */
const OTHERS = 0o077;
/** New files are accessible to the owner only. Child processes inherit this umask. */
export const PRIVATE_UMASK = 0o077;

/**
 * Restricts a data folder and its content to the owner. Creates the folder if it does not exist. A private folder is not scanned again, because others cannot
 * reach its content.
 * @returns number of files and folders that others had access to
 * @throws if a file belongs to another user
 */
export function keepPrivate(folder: string): number {
  if (!existsSync(folder)) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return 0;
  }
  let found = 0;
  for (const { path, mode } of openTo(folder)) {
    chmodSync(path, mode & 0o777 & ~OTHERS);
    found++;
  }
  return found;
}

/** Number of files and folders of a data folder that other users have access to. */
export function accessibleToOthers(folder: string): number {
  return [...openTo(folder)].length;
}

/** Yields the content of a folder before the folder itself, so that the next start repeats an interrupted run. */
function* openTo(folder: string): Generator<{ path: string; mode: number }> {
  const { mode } = lstatSync(folder);
  if ((mode & OTHERS) === 0) return;
  yield* within(folder);
  yield { path: folder, mode };
}

function* within(folder: string): Generator<{ path: string; mode: number }> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* within(path);
    const mode = lstatSync(path, { throwIfNoEntry: false })?.mode ?? 0;
    if ((mode & OTHERS) !== 0) yield { path, mode };
  }
}
