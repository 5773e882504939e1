import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import pg from 'pg';

/*
 * `npm test -- --postgres` has every server that a test starts keep its tables in a real PostgreSQL: a database for each data folder, so that a server
 * that is started again finds what it had.
 */

/** The server that `npm test -- --postgres` started; undefined when servers under test embed their database. */
const SERVER = process.env.TEST_POSTGRES;

/** What a server that is started with these arguments must be told about its database. */
export async function databaseOf(cwd: string, args: readonly string[]): Promise<Record<string, string>> {
  if (SERVER === undefined) return {};
  const name = `m_${createHash('sha256').update(folderOf(cwd, args)).digest('hex').slice(0, 24)}`;
  await admin(async (client) => {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (rowCount === 0) await client.query(`create database ${name}`);
  });
  return { MILLRACE_DATABASE__URL: urlOf(name) };
}

/** Takes the database away from a server. @returns gives it back; an embedded one comes back by itself */
export async function stopDatabase(pid: number, env: Record<string, string | undefined>): Promise<() => Promise<void>> {
  const url = env.MILLRACE_DATABASE__URL;
  if (url === undefined) {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
    const database = children.find((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('database-process'));
    process.kill(database as number, 'SIGKILL');
    return async () => {};
  }
  const [, name = ''] = /\/(m_\w+)\?/.exec(url) ?? [];
  await admin(async (client) => {
    await client.query(`alter database ${name} allow_connections false`);
    await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
  });
  return () => admin((client) => client.query(`alter database ${name} allow_connections true`));
}

const folderOf = (cwd: string, args: readonly string[]) => resolve(cwd, args[args.indexOf('--data') + 1] ?? '.');

/** `postgresql://user@/database?host=…`: the same server, another database. */
const urlOf = (name: string) => (SERVER as string).replace(/\/postgres\?/, `/${name}?`);

async function admin(work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client(SERVER);
  await client.connect();
  await work(client).finally(() => client.end());
}
