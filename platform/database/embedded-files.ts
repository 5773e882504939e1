import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync } from 'node:fs';
import { glob, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';

const INITIALIZE = join(import.meta.dirname, 'initialize-process.ts');
/** Code that runs once is not worth the optimizing compiler. */
const QUICKLY = '--liftoff-only';
/** A file that every database has. */
const MARK = 'PG_VERSION';

/** Databases without rows, kept to be copied. */
export interface EmptyDatabases {
  /** Folder in which they are kept; nothing in it is missed when it is deleted. */
  readonly cache: string;
  /** Folder of the migrations that have been applied to them. */
  readonly migrations: string;
}

/**
 * Gives an embedded database its files, unless it has some: a copy of those of an empty one, which takes a tenth of the time of initdb and
 * the migrations. The empty one is made once for each version of PGlite and of the migrations.
 * @param folder where the files belong; appears whole or not at all
 */
export async function prepareFiles(folder: string, kept: EmptyDatabases): Promise<void> {
  if (existsSync(join(folder, MARK))) return;
  const empty = await emptyDatabaseIn(kept);
  const copy = `${folder}.new`;
  await rm(copy, { recursive: true, force: true });
  await mkdir(dirname(folder), { recursive: true });
  if (!existsSync(empty)) await initialize(kept);
  // Not the asynchronous one, which takes fifteen times as long.
  cpSync(empty, copy, { recursive: true });
  // What an interrupted start of an earlier version left there could not be opened.
  await rm(folder, { recursive: true, force: true });
  await rename(copy, folder);
}

/** In a process of its own: the memory that initdb takes, 100 MB and more, would stay with this one. */
async function initialize({ cache, migrations }: EmptyDatabases): Promise<void> {
  const child = spawn(process.execPath, [QUICKLY, INITIALIZE, cache, migrations], { stdio: ['ignore', 'ignore', 'pipe'] });
  const [errors, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  if (code !== 0) throw new Error(`an empty database could not be made in ${cache}: ${errors.trim()}`);
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
