import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { systemClock } from '@millrace/base/clock';
import { HOME_TENANT, OWN_CHANNEL, type Principal, permissionsOf } from '@millrace/contracts';
import { type HttpServer, serveChannels } from '@millrace/http';
import { Hub } from '@millrace/streams';
import { createLogger } from '@millrace/telemetry';
import { openBenchServer } from './bench-server.ts';
import { quantile, report } from './measure.ts';

/*
 * 10,000 event streams of 1,000 users at one process: every user receives their own events on each of their ten streams, and no others. Then 5,000
 * connections are reset, and their memory must be released. The clients are a separate process.
 */

const USERS = 1_000;
const STREAMS_PER_USER = 10;
const STREAMS = USERS * STREAMS_PER_USER;
const SECONDS = 10;
/** In total 2,000 events and 20,000 deliveries per second. */
const EVENTS_PER_USER_PER_SECOND = 2;
const MIB = 1024 * 1024;

interface ClientReport {
  readonly deliveries: number;
  /** Events of other users. */
  readonly misdelivered: number;
  readonly latenciesMs: readonly number[];
  /** Minimum and maximum number of events of a stream. */
  readonly eventsMin: number;
  readonly eventsMax: number;
}

if (process.send && process.argv[2] === 'clients') clients(Number(process.argv[3]));
else await measure();

/** Clients that parse raw bytes, so that they are not the bottleneck. */
function clients(port: number): void {
  const sockets: Socket[] = [];
  const received = new Uint32Array(STREAMS);
  let misdelivered = 0;
  let latencies: number[] = [];
  let open = 0;
  const openStream = (index: number) => {
    const user = `user-${index % USERS}`;
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    let text = '';
    let isOpen = false;
    socket.setEncoding('latin1');
    socket.on('connect', () =>
      socket.write(`GET /api/v1/stream?channels=${OWN_CHANNEL} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${user}\r\n\r\n`),
    );
    socket.on('data', (bytes) => {
      text += bytes;
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        if (!isOpen && line === 'event: ready') {
          isOpen = true;
          if (++open === STREAMS) process.send?.('open');
        }
        if (!line.startsWith('data: {"channel"')) continue;
        const { channel, data } = JSON.parse(line.slice('data: '.length)) as { channel: string; data: { for: string; at: number } };
        if (channel !== `users:${user}` || data.for !== user) misdelivered++;
        received[index] = (received[index] ?? 0) + 1;
        latencies.push(performance.timeOrigin + performance.now() - data.at);
      }
    });
    socket.on('error', () => {});
  };
  // Opens the streams in groups, so that handshakes do not delay each other.
  let opened = 0;
  const timer = setInterval(() => {
    for (let count = 0; count < 200 && opened < STREAMS; count++) openStream(opened++);
    if (opened === STREAMS) clearInterval(timer);
  }, 20);
  process.on('message', (message) => {
    if (message === 'reset') {
      received.fill(0);
      latencies = [];
    }
    if (message === 'report') {
      const counts: ClientReport = {
        deliveries: latencies.length,
        misdelivered,
        latenciesMs: [0.5, 0.99, 1].map((share) => quantile(latencies, share)),
        eventsMin: Math.min(...received),
        eventsMax: Math.max(...received),
      };
      process.send?.(counts);
    }
    // Reset, not closed: like the failure of a machine.
    if (message === 'kill') for (const socket of sockets.splice(0, STREAMS / 2)) socket.resetAndDestroy();
  });
}

async function measure(): Promise<void> {
  const hub = new Hub({ clock: systemClock, epoch: 'bench', historyEvents: 64, initial: () => [] });
  const principal = (user: string): Principal => ({
    kind: 'token',
    user,
    name: user,
    tenant: HOME_TENANT,
    role: 'viewer',
    tier: 'enterprise',
    permissions: permissionsOf('viewer', HOME_TENANT),
    lacksTwoFactor: false,
    version: null,
    credential: user,
    expiresAt: null,
  });
  const server: HttpServer = await openBenchServer({
    connectionsMax: STREAMS,
    identify: async ({ headers }) => principal(String(headers.authorization).slice('Bearer '.length)),
    register: (http) =>
      serveChannels(http, {
        hub,
        logger: createLogger('warn'),
        checkChannel: (_name, { user }) => ({ name: `users:${user}`, delivery: 'lossless' }),
      }),
  });
  const before = await memory();
  const child: ChildProcess = fork(import.meta.filename, ['clients', new URL(server.url).port], { execArgv: [] });
  await once(child, 'message');
  const full = await memory();
  report({
    what: `memory per stream, ${STREAMS} streams of ${USERS} users`,
    ours: (full - before) / STREAMS / 1024,
    bare: null,
    unit: 'KiB',
    budget: { kind: '<=', value: 40 },
    note: 'sockets, HTTP and hub together',
  });

  const ours = await measureDeliveries((user) => hub.publish(`users:${user}`, 'lossless', 'news', '', newsFor(user)), child);
  // The history of the hub stays; only the memory of connections is measured.
  const loaded = await memory();
  child.send('kill');
  while (server.streams.size > STREAMS / 2) await new Promise((resolve) => setTimeout(resolve, 20));
  const halved = await memory();
  report({
    what: 'memory released when half of the clients disconnect',
    ours: (loaded - halved) / (full - before),
    bare: null,
    unit: 'of the memory of all streams',
    budget: { kind: '>=', value: 0.4 },
    note: `${((full - before) / MIB).toFixed(0)} MiB for all streams, ${hub.stats().readers} streams left`,
  });
  child.kill('SIGKILL');
  const bare = await measureBareDeliveries();
  report({
    what: 'event published -> read by its user, p99',
    ours: ours.p99,
    bare: bare.p99,
    unit: 'ms',
    budget: { kind: '<=', value: 3 },
    note: `median ${ours.median.toFixed(2)} ms; ${Math.round(ours.perSecond)} deliveries/s, none to other users; bare writes to the same sockets`,
  });
  report({
    what: 'deliveries to users’ own streams, maximum rate',
    ours: ours.fastest,
    bare: bare.fastest,
    unit: 'deliveries/s',
    budget: { kind: '>=', value: 0.4 },
  });
  process.exit();
}

interface DeliveryTimes {
  readonly median: number;
  readonly p99: number;
  /** Deliveries per second at the usual rate, and the maximum. */
  readonly perSecond: number;
  readonly fastest: number;
}

type Publish = (user: string) => void;

function newsFor(user: string) {
  return { for: user, at: performance.timeOrigin + performance.now(), text: 'x'.repeat(100) };
}

/** Publishes at the usual rate for some seconds, then as fast as possible. */
async function measureDeliveries(publish: Publish, child: ChildProcess): Promise<DeliveryTimes> {
  const started = performance.now();
  let published = 0;
  while (performance.now() - started < SECONDS * 1_000) {
    const due = ((performance.now() - started) / 1_000) * USERS * EVENTS_PER_USER_PER_SECOND;
    for (; published < due; published++) publish(`user-${published % USERS}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const received = await reportAfter(child, published * STREAMS_PER_USER);
  if (received.misdelivered > 0) throw new Error(`${received.misdelivered} deliveries went to the wrong user`);
  const each = Math.floor(published / USERS);
  if (received.eventsMin < each || received.eventsMax > each + 1)
    throw new Error(`streams received ${received.eventsMin} to ${received.eventsMax} events, not ${each}`);
  const [median = 0, p99 = 0] = received.latenciesMs;
  return { median, p99, perSecond: received.deliveries / SECONDS, fastest: await burst(publish, child) };
}

/** The same events to the same clients from a bare server that only maps users to streams. */
async function measureBareDeliveries(): Promise<DeliveryTimes> {
  const streams = new Map<string, ServerResponse[]>();
  const server = createServer({ keepAliveTimeout: 0 }, ({ headers }, response) => {
    const user = String(headers.authorization).slice('Bearer '.length);
    streams.set(user, [...(streams.get(user) ?? []), response]);
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('event: ready\ndata: {}\n\n');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const child = fork(import.meta.filename, ['clients', String((server.address() as AddressInfo).port)], { execArgv: [] });
  await once(child, 'message');
  const result = await measureDeliveries((user) => {
    const text = `event: news\ndata: ${JSON.stringify({ channel: `users:${user}`, data: newsFor(user) })}\n\n`;
    for (const stream of streams.get(user) ?? []) stream.write(text);
  }, child);
  child.kill('SIGKILL');
  return result;
}

/** Publishes ten events to every user as fast as possible. Returns deliveries per second. */
async function burst(publish: Publish, child: ChildProcess): Promise<number> {
  child.send('reset');
  await reportAfter(child, 0);
  const rounds = 10;
  const started = performance.now();
  for (let round = 0; round < rounds; round++) {
    for (let user = 0; user < USERS; user++) publish(`user-${user}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { deliveries } = await reportAfter(child, rounds * STREAMS);
  return (deliveries / (performance.now() - started)) * 1_000;
}

/** Waits for `deliveries`, and returns the report of the clients. */
async function reportAfter(child: ChildProcess, deliveries: number): Promise<ClientReport> {
  for (;;) {
    child.send('report');
    const [received] = (await once(child, 'message')) as [ClientReport];
    if (received.deliveries >= deliveries) return received;
  }
}

/** Memory of this process after garbage collection, bytes. */
async function memory(): Promise<number> {
  for (let pass = 0; pass < 3; pass++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
