import { sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import pg from 'pg';
import { trackPool } from './stopping-pool.ts';
import { transactionsOf } from './transactions.ts';

/** Maximum number of connections of a process. */
const CONNECTIONS_MAX = 8;
const CONNECT_MS_MAX = 5_000;
const STATEMENT_MS_MAX = 30_000;
/** Time that a transaction may wait for its process, ms. */
const IDLE_IN_TRANSACTION_MS_MAX = 10_000;
const PROBE_MS_MAX = 1_500;
/** Id of the advisory lock that serialises concurrent migrations of a database. An arbitrary number. */
const MIGRATION_LOCK = 6_455_223;

/** PostgreSQL as a URL, or the folder of the socket of an embedded one. */
export type DatabaseAddress = { readonly url: string } | { readonly socket: string };

/** A relational store: queries through Drizzle, batches as arrays (`unnest`). */
export interface Database {
  readonly drizzle: NodePgDatabase;
  /** Call it when the process begins to stop. From then on, connections that are in use for more than 3 s are ended: their queries are rejected. */
  stopping(): void;
  /** Whether a connection was in use for longer since. */
  readonly isUnresponsive: boolean;
  close(): Promise<void>;
}

/** Connects on first use, and reconnects after an outage. Queries are rejected while the database is unavailable. */
export function connectDatabase(address: DatabaseAddress, onFailure: (error: Error) => void = () => {}): Database {
  const pool = new pg.Pool({
    ...poolAddress(address),
    max: CONNECTIONS_MAX,
    connectionTimeoutMillis: CONNECT_MS_MAX,
    query_timeout: STATEMENT_MS_MAX,
    application_name: 'millrace',
    // A process that hangs or loses its machine within a transaction must not keep its locks. The embedded database has a limit of its own.
    ...('url' in address && { idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS_MAX }),
  });
  const tracked = trackPool(pool);
  pool.on('error', onFailure);
  // The pool reports no errors of connections in use; the query that fails reports them to its caller.
  pool.on('connect', (client) => client.on('error', onFailure));
  return {
    drizzle: Object.assign(drizzle(pool), { transaction: transactionsOf(pool) }),
    stopping: tracked.stopping,
    get isUnresponsive() {
      return tracked.isUnresponsive;
    },
    close: () => {
      tracked.stopping();
      return pool.end();
    },
  };
}

/** Checks whether a database responds, over its own connection: those of a pool may all be in use. */
export interface DatabaseProbe {
  /** Rejects with the reason when the database does not respond within 1.5 s. */
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
  // The next check reports it.
  pool.on('error', () => {});
  return { check: async () => void (await pool.query('select 1')), close: () => pool.end() };
}

function poolAddress(address: DatabaseAddress): pg.PoolConfig {
  return 'url' in address ? { connectionString: address.url } : { host: address.socket, user: 'postgres', database: 'postgres' };
}

/**
 * Applies pending migrations, in one transaction.
 * @param migrations folder of SQL files with their journal, as drizzle-kit generates it
 */
export async function migrateDatabase({ drizzle: database }: Database, migrations: string): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.execute(sql`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
    await migrate(transaction as unknown as NodePgDatabase, { migrationsFolder: migrations });
  });
}

export type Transaction = Parameters<Parameters<NodePgDatabase['transaction']>[0]>[0];

/** Statements, in a transaction or each on its own. */
export type Statements = Pick<Transaction, 'select' | 'insert' | 'update' | 'delete' | 'execute'>;
