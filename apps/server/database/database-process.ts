import { Socket } from 'node:net';
import { openLink } from '@millrace/cluster';
import { compileEngine, type EmbeddedDatabase, type EmptyDatabases, serveEmbedded } from '@millrace/database/embedded';
import { messageOf } from '@millrace/kernel';
import { handleSignals, lowerPriority } from '@millrace/processes';
import { collectGarbage } from '../collect-garbage.ts';

/*
 * The embedded PostgreSQL runs in a separate process, because it blocks its thread for tens of milliseconds at a time. Clients connect over a
 * socket; the server controls it over the pipe on descriptor 3.
 */

export type ToDatabase =
  | { readonly type: 'begin'; readonly folder: string; readonly socket: string; readonly empty: EmptyDatabases }
  | { readonly type: 'stop' };
export type FromDatabase = { readonly type: 'ready' } | { readonly type: 'failure'; readonly message: string };

const STOP_MS_MAX = 8_000;
/** After it is ready, the server migrates and reads the database, which the start waits for. */
const SETTLE_AFTER_MS = 5_000;

let starting: Promise<EmbeddedDatabase> | null = null;
let isEnding = false;

const link = openLink<FromDatabase, ToDatabase>(new Socket({ fd: 3, readable: true, writable: true }), {
  onMessage: (message) => {
    if (message.type === 'stop') return void end();
    starting = serveEmbedded(message.folder, message.socket, message.empty);
    starting.then(
      () => {
        link.send({ type: 'ready' });
        setTimeout(settle, SETTLE_AFTER_MS).unref();
      },
      (error) => {
        link.send({ type: 'failure', message: messageOf(error) });
        setTimeout(() => process.exit(1), 100);
      },
    );
  },
  // The server has exited, and the next one may be starting. Committed transactions survive the kill.
  // process.exit() would wait for starting threads of PostgreSQL, sometimes forever.
  onClose: () => process.kill(process.pid, 'SIGKILL'),
});

async function end(): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  setTimeout(() => process.exit(1), STOP_MS_MAX).unref();
  await starting?.then((database) => database.close()).catch(() => {});
  process.exit(0);
}

function settle(): void {
  lowerPriority();
  collectGarbage();
}

handleSignals(end);
// Takes part of the start before the server names the folder; a failure is reported when the database is opened.
compileEngine().catch(() => {});
