import { Socket } from 'node:net';
import { openLink } from '@millrace/platform/cluster';
import { troubleOf } from '@millrace/platform/database';
import { handleSignals } from '../own-signals.ts';
import { type FromProjector, type Projector, runProjector, type ToProjector } from './projector.ts';

/*
 * The projector as a process of its own: reading the log back and making rows of it keeps a thread busy, which nobody who plays
 * or trades should feel. It speaks with the server over the pipe it was started with (descriptor 3).
 */

const STOP_MS_MAX = 8_000;

let starting: Promise<Projector> | null = null;
let isEnding = false;

const link = openLink<FromProjector, ToProjector>(new Socket({ fd: 3, readable: true, writable: true }), {
  onMessage: (message) => {
    if (message.type === 'begin') {
      starting = runProjector(message.data, message.database, (reply) => link.send(reply));
      starting.catch((error) => {
        link.send({ type: 'trouble', message: `the tables cannot be opened: ${troubleOf(error)}` });
        setTimeout(() => process.exit(1), 100);
      });
    } else if (message.type === 'stop') void end();
    else void starting?.then((projector) => projector.received(message));
  },
  // Nobody waits for an orderly end any more: what is not committed is read again.
  onClose: () => process.kill(process.pid, 'SIGKILL'),
});

async function end(): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  setTimeout(() => process.exit(1), STOP_MS_MAX).unref();
  await starting?.then((projector) => projector.stop()).catch(() => {});
  process.exit(0);
}

handleSignals(end);
