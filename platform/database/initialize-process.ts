import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import { connectDatabase, migrateDatabase } from './database.ts';
import { servePglite } from './embedded.ts';
import { emptyDatabaseIn, makePrivate } from './embedded-files.ts';

/*
 * Creates an empty database. Arguments: `into` and a folder; or the cache folder of empty databases with all tables, and the folder of the migrations.
 * If several processes create a cached one, the others wait for the first. That only saves work: each uses its own folder, and the result appears
 * atomically.
 */

const POLL_MS = 50;
/** Age from which a lock is ignored, ms: longer than a creation takes. */
const LOCK_MS_MAX = 120_000;

const [first, second] = process.argv.slice(2);
if (first === undefined || second === undefined)
  throw new Error('"into" and a folder are needed, or the folders of empty databases and of migrations');
if (first === 'into') await (await PGlite.create({ dataDir: second })).close();
else await makeKept(first, second);
process.exit(0);

async function makeKept(cache: string, migrations: string): Promise<void> {
  const folder = await emptyDatabaseIn({ cache, migrations });
  const lock = `${folder}.pid`;
  mkdirSync(dirname(folder), { recursive: true, mode: 0o700 });
  while (!existsSync(folder) && !takeLock(lock)) await setTimeout(POLL_MS);
  if (existsSync(folder)) return;
  const unfinished = mkdtempSync(`${folder}-`);
  const socket = mkdtempSync(join(tmpdir(), 'millrace-'));
  try {
    const serving = await servePglite(unfinished, socket);
    const database = connectDatabase({ socket });
    await migrateDatabase(database, migrations);
    await database.close();
    await serving.close();
    makePrivate(unfinished);
    renameSync(unfinished, folder);
  } catch (error) {
    // Another process may have finished first.
    if (!existsSync(folder)) throw error;
  } finally {
    for (const left of [unfinished, socket, lock]) rmSync(left, { recursive: true, force: true });
  }
}

/** @returns whether this process has the lock now */
function takeLock(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (!isHeld(lock)) rmSync(lock, { force: true });
    return false;
  }
}

/** Whether the process that took the lock still runs; a killed process leaves its lock. */
function isHeld(lock: string): boolean {
  const found = statSync(lock, { throwIfNoEntry: false });
  if (!found || Date.now() - found.mtimeMs > LOCK_MS_MAX) return false;
  try {
    // Signal 0 only checks for existence. The file is empty until the process id is written; then the lock counts as held.
    process.kill(Number(readFileSync(lock, 'utf8')) || process.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
