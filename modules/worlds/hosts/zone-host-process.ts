import { Socket } from 'node:net';
import { systemClock } from '@millrace/base/clock';
import { openLink } from '@millrace/cluster';
import { messageOf } from '@millrace/kernel';
import { handleSignals } from '@millrace/processes';
import { type OpenStorePermit, type OpenStoreRequest, openZoneStores } from '@millrace/topics';
import { WORLD_PLACEMENT } from '../zone/placement.ts';
import { type Begin, type FromHost, type RunningZoneHost, runZoneHost, spoolsOf, type ToHost } from './zone-host.ts';

/*
 * A zone host in its own process. It exchanges messages with the server over a pipe (descriptor 3). It ends when the pipe
 * closes, because only the server extends its lease.
 */

/** Longest time of an orderly stop, ms. After that the process exits as in a crash, which loses no recorded event. */
const STOP_MS_MAX = 8_000;
/** Time for a last report to be sent, ms. */
const REPORT_MS = 100;

let running: RunningZoneHost | null = null;
/** Resolved when the server lets this process open its stores. */
const permit = Promise.withResolvers<void>();
/** Messages that arrived before the stores were open. */
const early: Exclude<ToHost, Begin>[] = [];
let isEnding = false;

const link = openLink<FromHost | OpenStoreRequest, ToHost | OpenStorePermit>(new Socket({ fd: 3, readable: true, writable: true }), {
  onMessage: (message) => {
    if (message.type === 'begin') void start(message);
    else if (message.type === 'may-open') permit.resolve();
    else if (message.type === 'stop') void end();
    else if (running) running.received(message);
    else early.push(message);
  },
  // Without the server there is no lease, and the next server may be starting. So only decided events are flushed to the log.
  // Ends by a signal, because `process.exit` waits for threads.
  onClose: () => void (running?.flushed() ?? Promise.resolve()).finally(() => process.kill(process.pid, 'SIGKILL')),
});

async function start(orders: Begin): Promise<void> {
  try {
    running = await open(orders);
    for (const message of early.splice(0)) running.received(message);
  } catch (error) {
    link.send({ type: 'failure', kind: 'log', zone: null, message: `the stores cannot be opened: ${messageOf(error)}` });
    setTimeout(() => process.exit(1), REPORT_MS);
  }
}

async function open(orders: Begin): Promise<RunningZoneHost> {
  const send = (reply: FromHost) => link.send(reply);
  const onIndexFailure = (message: string) => send({ type: 'failure', kind: 'index', zone: null, message });
  const place = { folder: orders.data, log: orders.log, placement: WORLD_PLACEMENT, onIndexFailure };
  const stores = await openZoneStores(place, () => {
    link.send({ type: 'wants-to-open' });
    return permit.promise;
  });
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
