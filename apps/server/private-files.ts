import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Of a file’s mode, what other users of the machine may do with it. */
const OTHERS = 0o077;
/** Of new files nothing is theirs: processes that are started from here inherit it. */
export const PRIVATE_UMASK = 0o077;

/**
 * Makes a data folder its owner’s alone, and all that is in it. Once it is, what is in it cannot be reached by others, and is not looked through again.
 * @returns how many files and folders others had access to
 * @throws where they belong to another user
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

/** How many files and folders of a data folder other users have access to. */
export function accessibleToOthers(folder: string): number {
  return [...openTo(folder)].length;
}

/** Changes the content of a folder before the folder itself, so that an interrupted run is repeated by the next start. */
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
