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
 * 10,000 event streams of 1,000 users at one process: every user is told of what is theirs, on each of their ten streams, and of nothing else; then 5,000
 * clients are killed, as a network would, and what they took is given back. The clients are another process.
 */

const USERS = 1_000;
const STREAMS_PER_USER = 10;
const STREAMS = USERS * STREAMS_PER_USER;
const SECONDS = 10;
/** Each user is told of something so often: 2,000 events a second, 20,000 deliveries. */
const EVENTS_PER_USER_PER_SECOND = 2;
const MIB = 1024 * 1024;

interface Heard {
  readonly deliveries: number;
  readonly strangers: number;
  readonly latenciesMs: readonly number[];
  /** Fewest and most events that a stream heard of. */
  readonly least: number;
  readonly most: number;
}

if (process.send && process.argv[2] === 'clients') clients(Number(process.argv[3]));
else await measure();

/** Streams read as bytes: what is measured is the server. */
function clients(port: number): void {
  const sockets: Socket[] = [];
  const heard = new Uint32Array(STREAMS);
  let strangers = 0;
  let latencies: number[] = [];
  let open = 0;
  const begin = (index: number) => {
    const user = `user-${index % USERS}`;
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    let text = '';
    let isIn = false;
    socket.setEncoding('latin1');
    socket.on('connect', () =>
      socket.write(`GET /api/v1/stream?channels=${OWN_CHANNEL} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${user}\r\n\r\n`),
    );
    socket.on('data', (bytes) => {
      text += bytes;
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        if (!isIn && line === 'event: ready') {
          isIn = true;
          if (++open === STREAMS) process.send?.('open');
        }
        if (!line.startsWith('data: {"channel"')) continue;
        const { channel, data } = JSON.parse(line.slice('data: '.length)) as { channel: string; data: { for: string; at: number } };
        if (channel !== `users:${user}` || data.for !== user) strangers++;
        heard[index] = (heard[index] ?? 0) + 1;
        latencies.push(performance.timeOrigin + performance.now() - data.at);
      }
    });
    socket.on('error', () => {});
  };
  // Some at a time, so that none waits for the others’ handshakes.
  let begun = 0;
  const more = setInterval(() => {
    for (let count = 0; count < 200 && begun < STREAMS; count++) begin(begun++);
    if (begun === STREAMS) clearInterval(more);
  }, 20);
  process.on('message', (message) => {
    if (message === 'forget') {
      heard.fill(0);
      latencies = [];
    }
    if (message === 'tell') {
      const told: Heard = {
        deliveries: latencies.length,
        strangers,
        latenciesMs: [0.5, 0.99, 1].map((share) => quantile(latencies, share)),
        least: Math.min(...heard),
        most: Math.max(...heard),
      };
      process.send?.(told);
    }
    // Reset, not closed: as when a machine is gone.
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
    what: `memory of a stream, ${STREAMS} of ${USERS} users`,
    ours: (full - before) / STREAMS / 1024,
    bare: null,
    unit: 'KiB',
    budget: { kind: '<=', value: 40 },
    note: 'sockets, HTTP and hub together',
  });

  const ours = await timed((user) => hub.publish(`users:${user}`, 'lossless', 'news', '', newsFor(user)), child);
  // The history of what was told stays; what connections took is asked for.
  const loaded = await memory();
  child.send('kill');
  while (server.streams.size > STREAMS / 2) await new Promise((resolve) => setTimeout(resolve, 20));
  const halved = await memory();
  report({
    what: 'memory given back when half the clients are gone',
    ours: (loaded - halved) / (full - before),
    bare: null,
    unit: 'of it',
    budget: { kind: '>=', value: 0.4 },
    note: `${((full - before) / MIB).toFixed(0)} MiB were taken by all, ${hub.stats().readers} streams are left`,
  });
  child.kill('SIGKILL');
  const bare = await timedBare();
  report({
    what: 'event told -> read by its user, p99',
    ours: ours.p99,
    bare: bare.p99,
    unit: 'ms',
    budget: { kind: '<=', value: 3 },
    note: `median ${ours.median.toFixed(2)} ms; ${Math.round(ours.perSecond)} deliveries/s, none to anyone else; bare writes to the same sockets`,
  });
  report({
    what: 'deliveries to users’ own streams, as fast as they go',
    ours: ours.fastest,
    bare: bare.fastest,
    unit: 'deliveries/s',
    budget: { kind: '>=', value: 0.4 },
  });
  process.exit();
}

interface Timed {
  readonly median: number;
  readonly p99: number;
  /** Deliveries at the usual rate, and as fast as they go. */
  readonly perSecond: number;
  readonly fastest: number;
}

type Tell = (user: string) => void;

function newsFor(user: string) {
  return { for: user, at: performance.timeOrigin + performance.now(), text: 'x'.repeat(100) };
}

/** Tells users of something for some seconds, then as fast as it goes. */
async function timed(tell: Tell, child: ChildProcess): Promise<Timed> {
  const started = performance.now();
  let told = 0;
  while (performance.now() - started < SECONDS * 1_000) {
    const due = ((performance.now() - started) / 1_000) * USERS * EVENTS_PER_USER_PER_SECOND;
    for (; told < due; told++) tell(`user-${told % USERS}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const heard = await ask(child, told * STREAMS_PER_USER);
  if (heard.strangers > 0) throw new Error(`${heard.strangers} deliveries were somebody else’s`);
  const each = Math.floor(told / USERS);
  if (heard.least < each || heard.most > each + 1)
    throw new Error(`streams heard of ${heard.least} to ${heard.most} events, not of ${each}`);
  const [median = 0, p99 = 0] = heard.latenciesMs;
  return { median, p99, perSecond: heard.deliveries / SECONDS, fastest: await burst(tell, child) };
}

/** The same events to the same clients from a server that knows nothing but whose stream is whose. */
async function timedBare(): Promise<Timed> {
  const streams = new Map<string, ServerResponse[]>();
  const server = createServer({ keepAliveTimeout: 0 }, ({ headers }, response) => {
    const user = String(headers.authorization).slice('Bearer '.length);
    streams.set(user, [...(streams.get(user) ?? []), response]);
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('event: ready\ndata: {}\n\n');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const child = fork(import.meta.filename, ['clients', String((server.address() as AddressInfo).port)], { execArgv: [] });
  await once(child, 'message');
  const result = await timed((user) => {
    const text = `event: news\ndata: ${JSON.stringify({ channel: `users:${user}`, data: newsFor(user) })}\n\n`;
    for (const stream of streams.get(user) ?? []) stream.write(text);
  }, child);
  child.kill('SIGKILL');
  return result;
}

/** Tells every user ten times, as fast as it goes, and waits until all have heard. */
async function burst(tell: Tell, child: ChildProcess): Promise<number> {
  child.send('forget');
  await ask(child, 0);
  const rounds = 10;
  const started = performance.now();
  for (let round = 0; round < rounds; round++) {
    for (let user = 0; user < USERS; user++) tell(`user-${user}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { deliveries } = await ask(child, rounds * STREAMS);
  return (deliveries / (performance.now() - started)) * 1_000;
}

/** What the clients have heard, once it is as much as it should be. */
async function ask(child: ChildProcess, deliveries: number): Promise<Heard> {
  for (;;) {
    child.send('tell');
    const [heard] = (await once(child, 'message')) as [Heard];
    if (heard.deliveries >= deliveries) return heard;
  }
}

/** Memory of this process after what is garbage is gone, bytes. */
async function memory(): Promise<number> {
  for (let pass = 0; pass < 3; pass++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
