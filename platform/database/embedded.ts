import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { PGlite } from '@electric-sql/pglite';
import { SOCKET } from './database.ts';
import { type EmptyDatabases, prepareFiles } from './embedded-files.ts';
import { openPgliteServer } from './pglite-server.ts';

/** Of its pages, what the embedded one keeps in memory of its own; 128 would be its default, and it takes them. What is not there the system still has. */
const SHARED_BUFFERS_MIB = 32;

export interface EmbeddedDatabase {
  close(): Promise<void>;
}

/**
 * Runs PostgreSQL within this process, its files in `folder`, and lets clients in at a socket in the folder `socket`.
 * Where there are no files, the database begins as a copy of an empty one.
 */
export async function serveEmbedded(folder: string, socket: string, empty: EmptyDatabases): Promise<EmbeddedDatabase> {
  await prepareFiles(folder, empty);
  // What the optimizing compiler makes of PostgreSQL's code is no quicker than the first compiler's, and takes 100 MB and a second of every start.
  setFlagsFromString('--liftoff-only');
  mkdirSync(socket, { recursive: true, mode: 0o700 });
  const startParams = [...PGlite.defaultStartParams, '-c', `shared_buffers=${SHARED_BUFFERS_MIB}MB`];
  const pglite = await PGlite.create({ dataDir: folder, startParams });
  const server = await openPgliteServer(pglite, join(socket, SOCKET));
  return {
    close: async () => {
      await server.close();
      await pglite.close();
    },
  };
}

export type { EmptyDatabases } from './embedded-files.ts';
