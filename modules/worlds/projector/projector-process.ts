import { Socket } from 'node:net';
import { openLink } from '@millrace/cluster';
import { connectDatabase, failureReason } from '@millrace/database';
import { handleSignals } from '@millrace/processes';
import { type OpenStorePermit, type OpenStoreRequest, openTopicLog } from '@millrace/topics';
import { WORLD_PLACEMENT } from '../zone/placement.ts';
import { type FromProjector, type Projector, runProjector, type ToProjector } from './projector.ts';

/*
 * The projector in its own process: reading the log and writing rows keeps a thread busy, which must not delay players and
 * trades. It exchanges messages with the server over a pipe (descriptor 3).
 */

const STOP_MS_MAX = 8_000;

type Begin = ToProjector & { readonly type: 'begin' };

let begin: Begin | null = null;
let starting: Promise<Projector> | null = null;
/** Messages that arrived before the start. */
const early: ToProjector[] = [];
let isEnding = false;

const link = openLink<FromProjector | OpenStoreRequest, ToProjector | OpenStorePermit>(
  new Socket({ fd: 3, readable: true, writable: true }),
  {
    onMessage: (message) => {
      if (message.type === 'begin') {
        begin = message;
        link.send({ type: 'wants-to-open' });
      } else if (message.type === 'may-open') {
        if (begin === null || starting !== null) return;
        starting = start(begin);
        starting.catch((error) => {
          link.send({ type: 'failure', message: `the tables cannot be opened: ${failureReason(error)}` });
          setTimeout(() => process.exit(1), 100);
        });
        for (const message of early.splice(0)) void starting.then((projector) => projector.received(message)).catch(() => {});
      } else if (message.type === 'stop') void end();
      else if (starting !== null) void starting.then((projector) => projector.received(message));
      else early.push(message);
    },
    // Without the server no orderly stop is needed: what is not committed is read again.
    onClose: () => process.kill(process.pid, 'SIGKILL'),
  },
);

async function start({ data, log: logOf, database }: Begin): Promise<Projector> {
  const log = await openTopicLog({ folder: data, log: logOf, placement: WORLD_PLACEMENT, database: connectDatabase(database) });
  return runProjector(log, database, (reply) => link.send(reply));
}

async function end(): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  setTimeout(() => process.exit(1), STOP_MS_MAX).unref();
  await starting?.then((projector) => projector.stop()).catch(() => {});
  process.exit(0);
}

handleSignals(end);
