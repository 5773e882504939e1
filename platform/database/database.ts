import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import pg from 'pg';

/** Connections a process holds at most. */
const CONNECTIONS_MAX = 8;
const CONNECT_MS_MAX = 5_000;
const STATEMENT_MS_MAX = 30_000;
const PROBE_MS_MAX = 1_500;
/** What a PostgreSQL client makes of a folder: the socket’s name for port 5432. */
export const SOCKET = '.s.PGSQL.5432';
/** The longest path a Unix socket may have on Linux is 107 bytes, on macOS 103. */
const SOCKET_PATH_MAX = 100;
/** Any number of ours: processes that migrate one database at once do it one after another. */
const MIGRATION_LOCK = 6_455_223;

/** PostgreSQL as a URL, or the folder of the socket of an embedded one. */
export type DatabaseAddress = { readonly url: string } | { readonly socket: string };

/** A relational store: queries through Drizzle, batches as arrays (`unnest`). */
export interface Database {
  readonly drizzle: NodePgDatabase;
  close(): Promise<void>;
}

/** Whether a socket may lie in that folder. */
export function isSocketFolder(folder: string): boolean {
  return Buffer.byteLength(join(folder, SOCKET)) <= SOCKET_PATH_MAX;
}

/** Connects as it is used, and again after the database was away; a query while it is away is refused. */
export function connectDatabase(address: DatabaseAddress, onFailure: (error: Error) => void = () => {}): Database {
  const pool = new pg.Pool({
    ...poolAddress(address),
    max: CONNECTIONS_MAX,
    connectionTimeoutMillis: CONNECT_MS_MAX,
    query_timeout: STATEMENT_MS_MAX,
    application_name: 'millrace',
  });
  pool.on('error', onFailure);
  // Of one that is in use the pool says nothing; its user is told by the query that fails.
  pool.on('connect', (client) => client.on('error', onFailure));
  return { drizzle: drizzle(pool), close: () => pool.end() };
}

/** Asks a database whether it answers, over a connection of its own: those of a pool may all be taken. */
export interface DatabaseProbe {
  /** Rejects with the reason when it does not answer in time. */
  check(): Promise<void>;
  close(): Promise<void>;
}

export function probeDatabase(address: DatabaseAddress): DatabaseProbe {
  const pool = new pg.Pool({
    ...poolAddress(address),
    max: 1,
    connectionTimeoutMillis: PROBE_MS_MAX,
    query_timeout: PROBE_MS_MAX,
    application_name: 'millrace health',
  });
  // The next check fails of it.
  pool.on('error', () => {});
  return { check: async () => void (await pool.query('select 1')), close: () => pool.end() };
}

function poolAddress(address: DatabaseAddress): pg.PoolConfig {
  return 'url' in address ? { connectionString: address.url } : { host: address.socket, user: 'postgres', database: 'postgres' };
}

/**
 * Brings the tables up to date.
 * @param migrations folder of SQL files with their journal, as drizzle-kit makes it
 */
export async function migrateDatabase({ drizzle: database }: Database, migrations: string): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.execute(sql`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
    await migrate(transaction as unknown as NodePgDatabase, { migrationsFolder: migrations });
  });
}

export type Transaction = Parameters<Parameters<NodePgDatabase['transaction']>[0]>[0];
