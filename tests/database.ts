import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import pg from 'pg';

/*
 * With `npm test -- --postgres`, every server under test uses a real PostgreSQL, with one database per data folder, so that a restarted server finds its
 * tables.
 */

/** URL of the PostgreSQL that `npm test -- --postgres` started; undefined for embedded databases. */
const SERVER = process.env.TEST_POSTGRES;

/** Environment variables that select the database of a server with these arguments. */
export async function databaseOf(cwd: string, args: readonly string[]): Promise<Record<string, string>> {
  if (SERVER === undefined) return {};
  const name = `m_${createHash('sha256').update(folderOf(cwd, args)).digest('hex').slice(0, 24)}`;
  await admin(async (client) => {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (rowCount === 0) await client.query(`create database ${name}`);
  });
  return { MILLRACE_DATABASE__URL: urlOf(name) };
}

/** Suspends the embedded database of a server, so that queries wait. @returns function that resumes it; a no-op with PostgreSQL */
export function suspendDatabase(pid: number, env: Record<string, string | undefined>): () => void {
  if (env.MILLRACE_DATABASE__URL !== undefined) return () => {};
  const database = embeddedOf(pid);
  process.kill(database, 'SIGSTOP');
  return () => void process.kill(database, 'SIGCONT');
}

/** Pid of the embedded database of a server. */
function embeddedOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  return children.find((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('database-process')) as number;
}

/** Stops the database of a server. @returns function that starts it again; an embedded one restarts by itself */
export async function stopDatabase(pid: number, env: Record<string, string | undefined>): Promise<() => Promise<void>> {
  const url = env.MILLRACE_DATABASE__URL;
  if (url === undefined) {
    process.kill(embeddedOf(pid), 'SIGKILL');
    return async () => {};
  }
  const [, name = ''] = /\/(m_\w+)\?/.exec(url) ?? [];
  await admin(async (client) => {
    await client.query(`alter database ${name} allow_connections false`);
    await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
  });
  return () => admin((client) => client.query(`alter database ${name} allow_connections true`));
}

/** Data folder of a server with these arguments. */
export const folderOf = (cwd: string, args: readonly string[]) => resolve(cwd, args[args.indexOf('--data') + 1] ?? '.');

/** The URL of another database on the same server. */
const urlOf = (name: string) => (SERVER as string).replace(/\/postgres\?/, `/${name}?`);

async function admin(work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client(SERVER);
  await client.connect();
  await work(client).finally(() => client.end());
}
