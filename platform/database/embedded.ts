import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { PGlite } from '@electric-sql/pglite';
import { type EmptyDatabases, prepareFiles } from './embedded-files.ts';
import { openPgliteServer } from './pglite-server.ts';
import { SOCKET } from './socket.ts';

/** Page cache of the embedded database, MiB; its default, 128, would be fully used. The page cache of the system has the rest. */
const SHARED_BUFFERS_MIB = 32;

export interface EmbeddedDatabase {
  close(): Promise<void>;
}

let compiled: Promise<WebAssembly.Module> | null = null;

/** Compiles PostgreSQL once in this process, which takes a tenth of a second. */
export function compileEngine(): Promise<WebAssembly.Module> {
  // The optimizing compiler makes PostgreSQL no faster, and costs 100 MB and a second at each start.
  setFlagsFromString('--liftoff-only');
  compiled ??= readFile(new URL('pglite.wasm', import.meta.resolve('@electric-sql/pglite'))).then((code) => WebAssembly.compile(code));
  return compiled;
}

/**
 * Runs PostgreSQL within this process, with its files in `folder`, and accepts clients at a socket in the folder `socket`.
 * A new database is a copy of an empty one.
 */
export async function serveEmbedded(folder: string, socket: string, empty: EmptyDatabases): Promise<EmbeddedDatabase> {
  await prepareFiles(folder, empty);
  return servePglite(folder, socket);
}

/** Like `serveEmbedded`; PGlite creates the database if the folder is empty. */
export async function servePglite(folder: string, socket: string): Promise<EmbeddedDatabase> {
  const pgliteWasmModule = await compileEngine();
  mkdirSync(socket, { recursive: true, mode: 0o700 });
  const startParams = [...PGlite.defaultStartParams, '-c', `shared_buffers=${SHARED_BUFFERS_MIB}MB`];
  const pglite = await PGlite.create({ dataDir: folder, startParams, pgliteWasmModule });
  const server = await openPgliteServer(pglite, join(socket, SOCKET));
  return {
    close: async () => {
      await server.close();
      await pglite.close();
    },
  };
}

export type { EmptyDatabases } from './embedded-files.ts';
