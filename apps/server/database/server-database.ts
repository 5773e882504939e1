import { createHash } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';
import { connectDatabase, type Database, type DatabaseAddress, failureReason, isSocketFolder, migrateDatabase } from '@millrace/database';
import { SupervisedProcess } from '@millrace/processes';
import type { Logger } from '@millrace/telemetry';
import { DrizzleQueryError, sql } from 'drizzle-orm';
import type { FromDatabase, ToDatabase } from './database-process.ts';
import { DATABASE_PROCESS } from './process-file.ts';

const MIGRATIONS = join(import.meta.dirname, '..', 'migrations');
/** Cache folder for empty databases. It can be deleted at any time. */
const CACHE = join(import.meta.dirname, '..', '..', '..', '.runtime');
const MIGRATE_RETRY_MS = 2_000;
const REMEDY = 'The server retries. If this continues while the disk has space, the folder is damaged: restore it from a backup.';

/** The relational database of a server: embedded in a separate process, or an external PostgreSQL. */
export interface ServerDatabase {
  readonly address: DatabaseAddress;
  readonly database: Database;
  /** Resolves when the tables are migrated. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

/** @param url of an external PostgreSQL; undefined for an embedded one. @param startAfterMs delay of the start of an embedded one, ms */
export function startDatabase(data: string, url: string | undefined, startAfterMs: number, logger: Logger): ServerDatabase {
  const embedded = url === undefined ? startEmbedded(data, startAfterMs, logger) : null;
  const address = embedded?.address ?? { url: url as string };
  const database = connectDatabase(address, (error) => logger.warn({ message: error.message }, 'a connection to the database was lost'));
  let isStopping = false;
  const migrated = async () => {
    await embedded?.ready;
    while (!isStopping) {
      try {
        return await migrateDatabase(database, MIGRATIONS);
      } catch (error) {
        logger.error({ message: failureReason(error) }, 'the database cannot be migrated yet');
        await new Promise((resolve) => setTimeout(resolve, MIGRATE_RETRY_MS));
      }
    }
  };
  return {
    address,
    database,
    ready: migrated(),
    stop: async () => {
      isStopping = true;
      await database.close();
      // Committed transactions survive the kill.
      await embedded?.stop(database.isUnresponsive);
    },
  };
}

function startEmbedded(data: string, startAfterMs: number, logger: Logger) {
  const socket = socketFolder(data);
  const folder = join(data, 'database');
  let isReady: () => void = () => {};
  const ready = new Promise<void>((resolve) => {
    isReady = resolve;
  });
  const child = new SupervisedProcess<ToDatabase, FromDatabase>(
    {
      name: 'the database',
      file: DATABASE_PROCESS.file,
      isAwaited: true,
      data,
      begin: () => {
        // The socket file of a killed process would keep the next one from listening.
        if (existsSync(socket)) rmSync(socket, { recursive: true });
        return [{ type: 'begin', folder, socket, empty: { cache: CACHE, migrations: MIGRATIONS } }];
      },
      stop: { type: 'stop' },
      onMessage: (message) =>
        message.type === 'ready'
          ? isReady()
          : logger.error({ message: message.message, folder, remedy: REMEDY }, 'the database cannot be opened'),
    },
    logger,
  );
  const starting = setTimeout(() => child.start(), startAfterMs);
  return {
    address: { socket },
    ready,
    stop: (isUnresponsive: boolean) => {
      clearTimeout(starting);
      return child.stop(isUnresponsive);
    },
  };
}

/** In the data folder, or in the temporary folder if the path is too long for a socket. */
function socketFolder(data: string): string {
  const inside = join(data, 'database-socket');
  if (isSocketFolder(inside)) return inside;
  return join(tmpdir(), `millrace-${createHash('sha256').update(data).digest('hex').slice(0, 16)}`);
}

/**
 * The relational database for a command: that of the running server, or opened for the duration of the work.
 * @param missing what to do without a database, or without its tables
 * @throws UserError if a query fails, or the data folder has no database: a command does not create an installation
 */
export function withDatabase<T>(
  settings: Settings,
  logger: Logger,
  work: (database: Database) => Promise<T>,
  missing: 'refuse' | 'create' = 'refuse',
): Promise<T> {
  return withOpenDatabase(settings, logger, work, missing).catch((error: unknown) => {
    if (!(error instanceof DrizzleQueryError)) throw error;
    throw new UserError(
      `the database cannot be used: ${failureReason(error)}`,
      settings.database.url === undefined
        ? 'Try again. If this continues, stop the server and run "millrace doctor".'
        : 'Check database.url, and that the database server runs. A started server creates the tables.',
    );
  });
}

async function withOpenDatabase<T>(
  { data, database: { url } }: Settings,
  logger: Logger,
  work: (database: Database) => Promise<T>,
  missing: 'refuse' | 'create',
): Promise<T> {
  const socket = socketFolder(data);
  if (url !== undefined || (await isListening(socket))) {
    const database = connectDatabase(url === undefined ? { socket } : { url });
    const connected = async () => {
      // A transaction that cannot connect has no error of a query.
      await database.drizzle.execute(sql`select 1`);
      if (missing === 'create') await migrateDatabase(database, MIGRATIONS);
      return work(database);
    };
    return connected().finally(() => database.close());
  }
  if (missing === 'refuse' && !existsSync(join(data, 'database')))
    throw new UserError(
      `there is no database in ${data}`,
      'Name the data folder of the installation with --data, or start a server first.',
    );
  const opened = startDatabase(data, undefined, 0, logger);
  await opened.ready;
  return work(opened.database).finally(() => opened.stop());
}

async function isListening(socket: string): Promise<boolean> {
  if (!existsSync(socket)) return false;
  const probe = connectDatabase({ socket });
  return probe.drizzle
    .execute(sql`select 1`)
    .then(
      () => true,
      () => false,
    )
    .finally(() => probe.close());
}
