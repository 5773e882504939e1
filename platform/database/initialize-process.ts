import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import { connectDatabase, migrateDatabase } from './database.ts';
import { serveEmbedded } from './embedded.ts';
import { emptyDatabaseIn } from './embedded-files.ts';

/*
 * Makes an empty database with all tables, unless there is one. Its arguments: the folder in which empty databases are kept, and that of the migrations.
 * Of several such processes one makes it, and the others wait for that.
 */

const LOOK_AGAIN_MS = 50;
/** Longer than it ever takes. */
const LOCK_MS_MAX = 120_000;

const [cache, migrations] = process.argv.slice(2);
if (cache === undefined || migrations === undefined)
  throw new Error('two folders are needed: for empty databases, and that of the migrations');
const folder = await emptyDatabaseIn({ cache, migrations });
const lock = `${folder}.pid`;
mkdirSync(dirname(folder), { recursive: true });
while (!existsSync(folder) && !takeLock()) await setTimeout(LOOK_AGAIN_MS);
if (!existsSync(folder)) await make();
process.exit(0);

async function make(): Promise<void> {
  const unfinished = `${folder}.new`;
  const socket = mkdtempSync(join(tmpdir(), 'millrace-'));
  rmSync(unfinished, { recursive: true, force: true });
  await (await PGlite.create({ dataDir: unfinished })).close();
  const serving = await serveEmbedded(unfinished, socket, { cache: unfinished, migrations: migrations as string });
  const database = connectDatabase({ socket });
  await migrateDatabase(database, migrations as string);
  await database.close();
  await serving.close();
  rmSync(socket, { recursive: true, force: true });
  renameSync(unfinished, folder);
  // Those of other versions, and the lock.
  for (const name of readdirSync(dirname(folder)))
    if (name !== basename(folder)) rmSync(join(dirname(folder), name), { recursive: true, force: true });
}

/** @returns whether this process is the one that makes it */
function takeLock(): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // One that was killed left its lock.
    const held = statSync(lock, { throwIfNoEntry: false });
    if (held && (Date.now() - held.mtimeMs > LOCK_MS_MAX || !isRunning(Number(readFileSync(lock, 'utf8')) || process.pid)))
      rmSync(lock, { force: true });
    return false;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
