import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, lstatSync, readdirSync } from 'node:fs';
import { glob, mkdir, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';

const INITIALIZE = join(import.meta.dirname, 'initialize-process.ts');
/** Code that runs once is not worth the optimizing compiler. */
const QUICKLY = '--liftoff-only';
/** A file that every database has. */
const MARK = 'PG_VERSION';
/** Bits of a mode that let anybody else change a file. */
const WRITABLE_BY_OTHERS = 0o022;

/** Databases without rows, kept to be copied. */
export interface EmptyDatabases {
  /** Folder in which they are kept; nothing in it is missed when it is deleted, and one that cannot be written is done without. */
  readonly cache: string;
  /** Folder of the migrations that have been applied to them. */
  readonly migrations: string;
}

/**
 * Gives an embedded database its files, unless it has some: a copy of those of an empty one, which takes a tenth of the time of initdb and
 * the migrations. The empty one is made once for each version of PGlite and of the migrations.
 * @param folder where the files belong; appears whole or not at all
 * @throws when it holds files that are no database: they may be what is left of one, and are not touched
 */
export async function prepareFiles(folder: string, kept: EmptyDatabases): Promise<void> {
  if (existsSync(join(folder, MARK))) return;
  if (existsSync(folder) && (await readdir(folder)).length > 0)
    throw new Error(
      `${folder} has files, but no ${MARK}: it is no whole database. Restore it from a backup, or move it aside to begin with an empty one.`,
    );
  const copy = `${folder}.new`;
  await rm(copy, { recursive: true, force: true });
  await mkdir(dirname(folder), { recursive: true });
  const empty = await emptyDatabase(kept);
  if (empty === null) await initialize(['into', copy]);
  else cpSync(empty, copy, { recursive: true });
  makePrivate(copy);
  if (existsSync(folder)) await rmdir(folder);
  await rename(copy, folder);
}

/** The kept one, made when there is none; null where none can be kept, or where somebody else could have changed it. */
async function emptyDatabase(kept: EmptyDatabases): Promise<string | null> {
  const empty = await emptyDatabaseIn(kept);
  if (!existsSync(empty)) await initialize([kept.cache, kept.migrations]).catch(() => {});
  return isOurs(empty) ? empty : null;
}

/** Whether a folder is there that belongs to this user, and nobody else can write to. */
function isOurs(folder: string): boolean {
  if (!existsSync(folder)) return false;
  const found = lstatSync(folder);
  const user = process.getuid?.();
  return found.isDirectory() && (found.mode & WRITABLE_BY_OTHERS) === 0 && (user === undefined || found.uid === user);
}

/** PGlite gives its files to everybody. */
export function makePrivate(folder: string): void {
  chmodSync(folder, 0o700);
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) makePrivate(join(folder, entry.name));
    else if (entry.isFile()) chmodSync(join(folder, entry.name), 0o600);
}

/** In a process of its own: the memory that initdb takes, 100 MB and more, would stay with this one. */
async function initialize(args: readonly [string, string]): Promise<void> {
  const child = spawn(process.execPath, [QUICKLY, INITIALIZE, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  const [errors, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  if (code !== 0) throw new Error(`an empty database could not be made: ${errors.trim()}`);
}

/** Where the empty database is, or will be, that fits this version of PGlite and of the migrations. */
export async function emptyDatabaseIn({ cache, migrations }: EmptyDatabases): Promise<string> {
  const manifest = new URL('../package.json', import.meta.resolve('@electric-sql/pglite'));
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string };
  const hash = createHash('sha256');
  for (const file of (await Array.fromAsync(glob('*.sql', { cwd: migrations }))).sort())
    hash.update(file).update(await readFile(join(migrations, file)));
  return join(cache, 'empty-databases', `${version}-${hash.digest('hex').slice(0, 16)}`);
}
