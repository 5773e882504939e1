import { mkdirSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { sql } from 'drizzle-orm';
import { drizzle, type PgliteDatabase } from 'drizzle-orm/pglite';
import { migrate } from 'drizzle-orm/pglite/migrator';

/** A relational store: queries through Drizzle, batches as arrays (`unnest`), one writer at a time. */
export interface Database {
  readonly drizzle: PgliteDatabase;
  close(): Promise<void>;
}

/**
 * Opens PostgreSQL within this process, in a folder of its own, and brings its tables up to date.
 * @param migrations folder of SQL files with their journal, as drizzle-kit makes it
 */
export async function openPglite(folder: string, migrations: string): Promise<Database> {
  mkdirSync(folder, { recursive: true });
  const client = await PGlite.create({ dataDir: folder });
  const database = drizzle(client);
  await migrate(database, { migrationsFolder: migrations });
  // What is committed may be lost by a crash of the machine: a projection reads it again from the log, from its own offsets.
  await database.execute(sql`set synchronous_commit = off`);
  return { drizzle: database, close: () => client.close() };
}

export type Transaction = Parameters<Parameters<PgliteDatabase['transaction']>[0]>[0];
