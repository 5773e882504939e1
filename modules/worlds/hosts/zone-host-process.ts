import { Socket } from 'node:net';
import { systemClock } from '@millrace/base/clock';
import { openLink } from '@millrace/cluster';
import { handleSignals } from '@millrace/processes';
import { type OpenStorePermit, type OpenStoreRequest, openStores } from '@millrace/topics';
import { WORLD_PLACEMENT } from '../zone/placement.ts';
import { type Begin, type FromHost, type RunningZoneHost, runZoneHost, spoolsOf, type ToHost } from './zone-host.ts';

/*
 * A zone host in its own process. It exchanges messages with the server over a pipe (descriptor 3). It ends when the pipe
 * closes, because only the server extends its lease.
 */

/** Longest time of an orderly stop, ms. After that the process exits as in a crash, which loses no recorded event. */
const STOP_MS_MAX = 8_000;

let begin: Begin | null = null;
let running: RunningZoneHost | null = null;
let isEnding = false;

const link = openLink<FromHost | OpenStoreRequest, ToHost | OpenStorePermit>(new Socket({ fd: 3, readable: true, writable: true }), {
  onMessage: (message) => {
    if (message.type === 'begin') {
      begin = message;
      link.send({ type: 'wants-to-open' });
    } else if (message.type === 'may-open') running ??= begin && open(begin);
    else if (message.type === 'stop') void end();
    else running?.received(message);
  },
  // Without the server there is no lease, and the next server may be starting. So only decided events are flushed to the log.
  // Ends by a signal, because `process.exit` waits for threads.
  onClose: () => void (running?.flushed() ?? Promise.resolve()).finally(() => process.kill(process.pid, 'SIGKILL')),
});

function open(orders: Begin): RunningZoneHost {
  const send = (reply: FromHost) => link.send(reply);
  const stores = openStores(orders.data, WORLD_PLACEMENT);
  return runZoneHost(orders, { stores, spools: spoolsOf(orders, send), clock: systemClock, send });
}

async function end(): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  setTimeout(() => process.exit(1), STOP_MS_MAX).unref();
  await running?.stop();
  process.exit(0);
}

handleSignals(end);
