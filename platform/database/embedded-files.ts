import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, lstatSync, readdirSync } from 'node:fs';
import { glob, mkdir, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { recordProcess } from '@millrace/processes';

const INITIALIZE = join(import.meta.dirname, 'initialize-process.ts');
/** Halves the time that imports take. */
const QUICK_IMPORTS = ['--import', import.meta.resolve('@millrace/processes/quick-imports')];
/** Skips the optimizing WebAssembly compiler, which does not pay off for code that runs once. */
const BASELINE_COMPILER = '--liftoff-only';
/** A file that every database has. */
const MARK = 'PG_VERSION';
/** Mode bits that allow other users to change a file. */
const WRITABLE_BY_OTHERS = 0o022;

/** Cache of empty databases, which new ones are copied from. */
export interface EmptyDatabases {
  /** Folder of the cache. It may be deleted at any time. Without write access nothing is cached. */
  readonly cache: string;
  /** Folder of the migrations that they include. */
  readonly migrations: string;
}

/**
 * Creates the files of an embedded database, unless they exist, as a copy of a cached empty one: a tenth of the time of initdb and the migrations.
 * The empty one is created once per version of PGlite and of the migrations.
 * @param folder folder of the database; created atomically
 * @throws when it has files that are not a complete database; they may be remains of one, and are not touched
 */
export async function prepareFiles(folder: string, kept: EmptyDatabases): Promise<void> {
  if (existsSync(join(folder, MARK))) return;
  if (existsSync(folder) && (await readdir(folder)).length > 0)
    throw new Error(
      `${folder} has files, but no ${MARK}: it is not a complete database. Restore it from a backup, or move it aside to begin with an empty one.`,
    );
  const copy = `${folder}.new`;
  await rm(copy, { recursive: true, force: true });
  await mkdir(dirname(folder), { recursive: true });
  const empty = await emptyDatabase(kept);
  // It outlives a killed server. The next one of this data folder ends it before it opens the database.
  if (empty === null) await initialize(['into', copy], (pid) => recordProcess(dirname(folder), pid, 'the creation of the database'));
  else cpSync(empty, copy, { recursive: true });
  makePrivate(copy);
  if (existsSync(folder)) await rmdir(folder);
  await rename(copy, folder);
}

/** The cached empty database, created if missing. Null when it cannot be cached, or when another user could have changed it. */
async function emptyDatabase(kept: EmptyDatabases): Promise<string | null> {
  const empty = await emptyDatabaseIn(kept);
  if (!existsSync(empty)) await initialize([kept.cache, kept.migrations]).catch(() => {});
  return isOurs(empty) ? empty : null;
}

/** Whether a folder exists, belongs to this user, and is not writable by other users. */
function isOurs(folder: string): boolean {
  if (!existsSync(folder)) return false;
  const found = lstatSync(folder);
  const user = process.getuid?.();
  return found.isDirectory() && (found.mode & WRITABLE_BY_OTHERS) === 0 && (user === undefined || found.uid === user);
}

/** Removes all access by other users, which PGlite grants. */
export function makePrivate(folder: string): void {
  chmodSync(folder, 0o700);
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) makePrivate(join(folder, entry.name));
    else if (entry.isFile()) chmodSync(join(folder, entry.name), 0o600);
}

/** Runs initdb in a child process, because this one would keep its memory, 100 MB and more. */
async function initialize(
  args: readonly [string, string],
  record: (pid: number | undefined) => () => void = () => () => {},
): Promise<void> {
  const child = spawn(process.execPath, [BASELINE_COMPILER, ...QUICK_IMPORTS, INITIALIZE, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const forget = record(child.pid);
  // Rejects for a child that cannot be started. Without a free file descriptor it has no standard error.
  const exited = once(child, 'exit');
  const [errors, [code]] = await Promise.all([child.stderr ? text(child.stderr) : '', exited]).finally(forget);
  if (code !== 0) throw new Error(`an empty database could not be created: ${errors.trim()}`);
}

/** Folder of the empty database for this version of PGlite and of the migrations, whether it exists or not. */
export async function emptyDatabaseIn({ cache, migrations }: EmptyDatabases): Promise<string> {
  const manifest = new URL('../package.json', import.meta.resolve('@electric-sql/pglite'));
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string };
  const hash = createHash('sha256');
  for (const file of (await Array.fromAsync(glob('*.sql', { cwd: migrations }))).sort())
    hash.update(file).update(await readFile(join(migrations, file)));
  return join(cache, 'empty-databases', `${version}-${hash.digest('hex').slice(0, 16)}`);
}
