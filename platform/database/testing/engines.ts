import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { DatabaseAddress } from '../database.ts';
import { serveEmbedded } from '../embedded.ts';

/** A database for tests. Closing it deletes its files. */
export interface TestDatabase {
  readonly address: DatabaseAddress;
  /** Stops without a checkpoint, and starts again: commits that did not wait for the disk are lost. Rejects for an embedded database. */
  crash(): Promise<void>;
  close(): Promise<void>;
}

const ROOT = join(import.meta.dirname, '..', '..', '..');
/** The empty databases that servers use. */
export const EMPTY = { cache: join(ROOT, '.runtime'), migrations: join(ROOT, 'apps', 'server', 'migrations') };

/** The engines that code with tables is tested with: both, or only the embedded one in `npm test`. */
export const ENGINES: readonly { readonly name: string; open(): Promise<TestDatabase> }[] = [
  { name: 'PGlite', open: openEmbedded },
  // `npm test` reports a machine without PostgreSQL. CI must have it.
  ...(!process.env.TEST_QUICK && (postgresPrograms() || process.env.CI) ? [{ name: 'PostgreSQL', open: openServer }] : []),
];

async function openEmbedded(): Promise<TestDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-pglite-'));
  const socket = join(folder, 'socket');
  const served = await serveEmbedded(join(folder, 'data'), socket, EMPTY);
  return {
    address: { socket },
    crash: () => Promise.reject(new Error('the embedded database is part of the process that tests it')),
    close: async () => {
      await served.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The real server of this process, which all its test databases share. It is stopped when the process ends. */
let shared: Promise<PostgresServer> | null = null;
let databases = 0;

/** Creates a database of its own in the real server. */
async function openServer(): Promise<TestDatabase> {
  shared ??= startServer();
  const server = await shared;
  const name = `test_${++databases}`;
  await server.execute(`CREATE DATABASE ${name}`);
  return {
    address: { url: server.urlOf(name) },
    crash: () => server.crash(),
    close: () => server.execute(`DROP DATABASE ${name} WITH (FORCE)`),
  };
}

interface PostgresServer {
  urlOf(database: string): string;
  execute(statement: string): Promise<void>;
  /** Stops without a checkpoint, and starts again. */
  crash(): Promise<void>;
}

/** Starts a real server at its own socket, without a TCP port. PostgreSQL refuses to run as root, so root starts it as Debian’s user for it. */
async function startServer(): Promise<PostgresServer> {
  const programs = requirePrograms();
  const folder = mkdtempSync(join(tmpdir(), 'millrace-postgres-'));
  const data = join(folder, 'data');
  const socket = join(folder, 'socket');
  mkdirSync(socket);
  stopWithThisProcess(folder);
  const owner = ownerOfServer();
  for (const each of [folder, socket]) {
    chmodSync(each, 0o755);
    if (owner) chownSync(each, owner.uid, owner.gid);
  }
  const identity = owner ?? {};
  execFileSync(join(programs, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale=C.UTF-8'], {
    ...identity,
    stdio: 'pipe',
  });
  // Commits that do not wait for the disk are written after seconds at the earliest, so that a crash loses them.
  const settings = ["listen_addresses = ''", `unix_socket_directories = '${socket}'`, 'fsync = off', 'wal_writer_delay = 10s'];
  // Segments outside its folder would outlive an immediate shutdown.
  settings.push('dynamic_shared_memory_type = mmap');
  writeFileSync(join(data, 'postgresql.auto.conf'), `${settings.join('\n')}\n`);
  const urlOf = (database: string) => `postgresql://postgres@/${database}?host=${encodeURIComponent(socket)}`;
  const start = async () => {
    const server = spawn(join(programs, 'postgres'), ['-D', data], { ...identity, stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    server.stderr.on('data', (text) => {
      errors += text;
    });
    const ended = once(server, 'exit');
    await Promise.race([
      acceptsConnections(urlOf('postgres')),
      ended.then(() => Promise.reject(new Error(`PostgreSQL did not start:\n${errors}`))),
    ]);
    // The process of the tests may end before the server.
    server.unref();
    (server.stderr as Socket).unref();
    return { server, ended };
  };
  let running = await start();
  return {
    urlOf,
    execute: async (statement) => {
      const client = new pg.Client(urlOf('postgres'));
      await client.connect();
      try {
        await client.query(statement);
      } finally {
        await client.end();
      }
    },
    crash: async () => {
      running.server.ref();
      running.server.kill('SIGQUIT');
      await running.ended;
      running = await start();
    },
  };
}

/** Waits for the end of its input, which closes when the process of the tests ends. Then shuts the server down immediately and deletes its folder. */
const STOP_SERVER = `
read -r _
pid=$(head -n 1 "$0/data/postmaster.pid") && kill -QUIT "$pid"
for _ in $(seq 100); do [ -n "$pid" ] && kill -0 "$pid" || break; sleep 0.1; done
for _ in 1 2 3; do rm -rf "$0" && break; sleep 1; done`;

/** Stops the server in a folder when this process ends, also by a signal. A detached process does it, because one to the group would end it too. */
function stopWithThisProcess(folder: string): void {
  const stopping = spawn('sh', ['-c', STOP_SERVER, folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  stopping.unref();
  (stopping.stdin as Socket).unref();
}

/** Folder of the programs of the newest installed PostgreSQL (Debian). scripts/test.ts installs one if possible. */
export function postgresPrograms(): string | undefined {
  return globSync('/usr/lib/postgresql/*/bin/postgres')
    .sort()
    .at(-1)
    ?.replace(/\/postgres$/, '');
}

function requirePrograms(): string {
  const programs = postgresPrograms();
  if (!programs) throw new Error('there is no PostgreSQL on this machine; on Debian: apt-get install postgresql');
  return programs;
}

function ownerOfServer(): { uid: number; gid: number } | null {
  if (userInfo().uid !== 0) return null;
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** Resolves when the server accepts connections. Before, there is no socket, or connections are refused. */
async function acceptsConnections(url: string): Promise<void> {
  for (;;) {
    const client = new pg.Client(url);
    const isOpen = await client.connect().then(
      () => true,
      () => false,
    );
    await client.end().catch(() => {});
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
