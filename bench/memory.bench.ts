import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { World } from '@millrace/contracts';
import { until } from '@millrace/testing';
import WebSocket from 'ws';
import { type ServerProcess, startServer } from '../tests/server.ts';
import { inFolder, report } from './measure.ts';

/*
 * Memory leaks of requests: the heap of a server after many requests of a kind and a full garbage collection, against its heap after the first tenth
 * of them. Example: REQUESTS=1000000 KIND=GraphQL npm run bench -- memory
 */

const REQUESTS = Number(process.env.REQUESTS ?? 20_000);
/** Runs only kinds with this text in their name. Default: all. */
const KIND = process.env.KIND ?? '';
const CONCURRENT = 32;
const PROBE = join(import.meta.dirname, 'heap-probe.ts');
const MIB = 1024 * 1024;

/** Sends the nth request, and resolves after its response. */
type SendRequest = (n: number) => Promise<void>;

interface Kind {
  readonly name: string;
  /** Cost relative to a plain request: fewer requests are sent of expensive kinds. */
  readonly cost: number;
  readonly open: (server: ServerProcess) => Promise<{ send: SendRequest; close: () => void }>;
}

/** Requests over keep-alive connections. */
function http(name: string, cost: number, status: number, of: (n: number) => { method?: string; path: string; body?: string }): Kind {
  return {
    name,
    cost,
    open: async ({ url }) => {
      const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENT });
      const { hostname, port } = new URL(url);
      const send = (n: number) =>
        new Promise<void>((resolve, reject) => {
          const { method = 'GET', path, body } = of(n);
          const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
          const clientRequest = request({ hostname, port, agent, method, path, headers }, (response) => {
            if (response.statusCode !== status) reject(new Error(`${name}: ${response.statusCode} instead of ${status}`));
            response.resume().once('end', resolve);
          });
          clientRequest.once('error', reject).end(body);
        });
      return { send, close: () => agent.destroy() };
    },
  };
}

const INSTRUMENT = '/api/v1/instruments/simulator:BTC-USDT';
const graphql = (query: string) => ({ method: 'POST', path: '/api/v1/graphql', body: JSON.stringify({ query }) });

const KINDS: readonly Kind[] = [
  http('GET of a list', 1, 200, () => ({ path: '/api/v1/instruments' })),
  http('GET of candles', 1, 200, () => ({ path: `${INSTRUMENT}/candles?interval=1m&limit=5` })),
  http('GET of an unknown resource, a different path each time', 1, 404, (n) => ({ path: `/api/v1/instruments/none:${n}` })),
  http('POST with a body that is not JSON', 1, 400, () => ({ method: 'POST', path: '/api/v1/world/players', body: '{"name"' })),
  http('GraphQL, the same query', 1, 200, () => graphql('{ instruments { data { id } } }')),
  http('GraphQL, a different query each time', 4, 200, (n) => graphql(`{ a${n}: instruments { data { id } } }`)),
  {
    name: 'WebSockets that subscribe, unsubscribe and disconnect',
    cost: 4,
    open: async ({ url }) => ({
      send: async () => {
        const socket = new WebSocket(`${url.replace('http', 'ws')}/api/v1/socket`);
        await once(socket, 'open');
        for (const op of ['subscribe', 'unsubscribe']) {
          const replied = new Promise<void>((resolve) =>
            socket.on('message', (text) => (JSON.parse(String(text)) as { id?: string }).id === op && resolve()),
          );
          socket.send(JSON.stringify({ op, id: op, channels: ['ticker:simulator:BTC-USDT'] }));
          await replied;
        }
        socket.terminate();
        await once(socket, 'close');
      },
      close: () => {},
    }),
  },
  {
    name: 'streams that are opened and aborted',
    cost: 4,
    open: async ({ url }) => ({
      send: () =>
        new Promise((resolve, reject) => {
          const clientRequest = request(`${url}/api/v1/stream?channels=ticker:simulator:BTC-USDT`, { agent: false }, (response) => {
            response.once('data', () => clientRequest.destroy());
            response.once('close', resolve);
            response.on('error', () => {});
          });
          clientRequest.once('error', reject).end();
        }),
      close: () => {},
    }),
  },
  {
    name: 'refused connections to the world',
    cost: 4,
    open: async ({ url }) => {
      const { tcpPort } = (await (await fetch(`${url}/api/v1/world`)).json()) as World;
      return {
        send: async () => {
          const socket = connect(tcpPort, '127.0.0.1');
          // A frame of 8 bytes that is not a `hello`.
          socket.write(Buffer.from([0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]));
          // The server sends the reason and closes the connection.
          socket.on('error', () => {}).once('data', () => socket.destroy());
          await once(socket, 'close');
        },
        close: () => {},
      };
    },
  },
];

async function sendMany(send: SendRequest, from: number, to: number): Promise<void> {
  let next = from;
  const work = async () => {
    while (next < to) await send(next++);
  };
  await Promise.all(Array.from({ length: CONCURRENT }, work));
}

async function heapOf(server: ServerProcess): Promise<{ heap: number; resident: number }> {
  const before = server.errors().length;
  server.child.kill('SIGUSR2');
  const heapLine = () => /HEAP (\d+) (\d+)/.exec(server.errors().slice(before));
  await until(() => heapLine() !== null, 'the server reports its heap');
  const [, heap, resident] = heapLine() ?? [];
  return { heap: Number(heap) / MIB, resident: Number(resident) / MIB };
}

await inFolder(async (folder) => {
  const server = await startServer(['up', '--port', '0', '--data', 'data'], {
    cwd: folder,
    env: { MALLOC_ARENA_MAX: '1', MILLRACE_WORLDS__HOSTS: '1' },
    nodeFlags: ['--expose-gc', '--max-semi-space-size=16', '--import', PROBE],
  });
  try {
    let resident = 0;
    for (const kind of KINDS.filter(({ name }) => name.includes(KIND))) {
      const count = Math.ceil(REQUESTS / kind.cost);
      const { send, close } = await kind.open(server);
      const warm = Math.ceil(count / 10);
      await sendMany(send, 0, warm);
      const bare = await heapOf(server);
      resident ||= bare.resident;
      const started = performance.now();
      await sendMany(send, warm, count);
      const seconds = (performance.now() - started) / 1_000;
      const ours = await heapOf(server);
      close();
      report({
        what: `heap after ${count} requests (bare: after ${warm}): ${kind.name}`,
        ours: ours.heap,
        bare: bare.heap,
        unit: 'MiB',
        budget: { kind: '<=', value: 1.1 },
        note: `${Math.round((count - warm) / seconds)}/s, resident ${Math.round(ours.resident)} MiB`,
      });
    }
    const end = await heapOf(server);
    report({
      what: 'resident memory after all kinds (bare: after the first tenth of the first kind)',
      ours: end.resident,
      bare: resident,
      unit: 'MiB',
      budget: { kind: '<=', value: 1.25 },
    });
  } finally {
    await server.stop();
  }
});
