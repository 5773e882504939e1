import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { connectDatabase, migrateDatabase } from './database.ts';
import { serveEmbedded } from './embedded.ts';

/* Makes an empty database with all tables. Its arguments: the folder for its files, and that of the migrations. Several processes may do so at once. */

const [folder, migrations] = process.argv.slice(2);
if (folder === undefined || migrations === undefined)
  throw new Error('two folders are needed: for the database, and that of the migrations');

const unfinished = `${folder}.${process.pid}`;
const socket = mkdtempSync(join(tmpdir(), 'millrace-'));
await (await PGlite.create({ dataDir: unfinished })).close();
const serving = await serveEmbedded(unfinished, socket, { cache: unfinished, migrations });
const database = connectDatabase({ socket });
await migrateDatabase(database, migrations);
await database.close();
await serving.close();
rmSync(socket, { recursive: true, force: true });
try {
  renameSync(unfinished, folder);
} catch (error) {
  rmSync(unfinished, { recursive: true, force: true });
  // Another process was quicker.
  if (!existsSync(folder)) throw error;
}
process.exit(0);
