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
 * What a server keeps of requests that are over: its heap after many of a kind, all garbage collected, against its heap after the first tenth of them.
 * REQUESTS=1000000 npm run bench -- memory, and with KIND=GraphQL those with that in their name alone.
 */

const REQUESTS = Number(process.env.REQUESTS ?? 20_000);
/** Only those with this in their name; without it, all. */
const KIND = process.env.KIND ?? '';
const AT_ONCE = 32;
const PROBE = join(import.meta.dirname, 'heap-probe.ts');
const MIB = 1024 * 1024;

/** Asks one request, the nth, and resolves when it is answered. */
type Ask = (n: number) => Promise<void>;

interface Kind {
  readonly name: string;
  /** What one costs against a plain request: of what costs more, fewer are asked. */
  readonly cost: number;
  readonly open: (server: ServerProcess) => Promise<{ ask: Ask; close: () => void }>;
}

/** Requests over connections that are kept. */
function http(name: string, cost: number, status: number, of: (n: number) => { method?: string; path: string; body?: string }): Kind {
  return {
    name,
    cost,
    open: async ({ url }) => {
      const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
      const { hostname, port } = new URL(url);
      const ask = (n: number) =>
        new Promise<void>((resolve, reject) => {
          const { method = 'GET', path, body } = of(n);
          const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
          const asked = request({ hostname, port, agent, method, path, headers }, (answer) => {
            if (answer.statusCode !== status) reject(new Error(`${name}: ${answer.statusCode} instead of ${status}`));
            answer.resume().once('end', resolve);
          });
          asked.once('error', reject).end(body);
        });
      return { ask, close: () => agent.destroy() };
    },
  };
}

const INSTRUMENT = '/api/v1/instruments/simulator:BTC-USDT';
const graphql = (query: string) => ({ method: 'POST', path: '/api/v1/graphql', body: JSON.stringify({ query }) });

const KINDS: readonly Kind[] = [
  http('GET of a list', 1, 200, () => ({ path: '/api/v1/instruments' })),
  http('GET of candles', 1, 200, () => ({ path: `${INSTRUMENT}/candles?interval=1m&limit=5` })),
  http('GET of what is not there, other paths each time', 1, 404, (n) => ({ path: `/api/v1/instruments/none:${n}` })),
  http('POST with a body that is no JSON', 1, 400, () => ({ method: 'POST', path: '/api/v1/world/players', body: '{"name"' })),
  http('GraphQL, the same query', 1, 200, () => graphql('{ instruments { data { id } } }')),
  http('GraphQL, another query each time', 4, 200, (n) => graphql(`{ a${n}: instruments { data { id } } }`)),
  {
    name: 'WebSockets that subscribe, unsubscribe and are left',
    cost: 4,
    open: async ({ url }) => ({
      ask: async () => {
        const socket = new WebSocket(`${url.replace('http', 'ws')}/api/v1/socket`);
        await once(socket, 'open');
        for (const op of ['subscribe', 'unsubscribe']) {
          const answered = new Promise<void>((resolve) =>
            socket.on('message', (text) => (JSON.parse(String(text)) as { id?: string }).id === op && resolve()),
          );
          socket.send(JSON.stringify({ op, id: op, channels: ['ticker:simulator:BTC-USDT'] }));
          await answered;
        }
        socket.terminate();
        await once(socket, 'close');
      },
      close: () => {},
    }),
  },
  {
    name: 'streams that are opened and left',
    cost: 4,
    open: async ({ url }) => ({
      ask: () =>
        new Promise((resolve, reject) => {
          const asked = request(`${url}/api/v1/stream?channels=ticker:simulator:BTC-USDT`, { agent: false }, (answer) => {
            answer.once('data', () => asked.destroy());
            answer.once('close', resolve);
            answer.on('error', () => {});
          });
          asked.once('error', reject).end();
        }),
      close: () => {},
    }),
  },
  {
    name: 'connections to the world that are refused',
    cost: 4,
    open: async ({ url }) => {
      const { tcpPort } = (await (await fetch(`${url}/api/v1/world`)).json()) as World;
      return {
        ask: async () => {
          const socket = connect(tcpPort, '127.0.0.1');
          // A frame of 8 bytes that is no MessagePack of a hello.
          socket.write(Buffer.from([0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]));
          // It is told why, and ends.
          socket.on('error', () => {}).once('data', () => socket.destroy());
          await once(socket, 'close');
        },
        close: () => {},
      };
    },
  },
];

async function askMany(ask: Ask, from: number, to: number): Promise<void> {
  let next = from;
  const work = async () => {
    while (next < to) await ask(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function heapOf(server: ServerProcess): Promise<{ heap: number; resident: number }> {
  const before = server.errors().length;
  server.child.kill('SIGUSR2');
  const told = () => /HEAP (\d+) (\d+)/.exec(server.errors().slice(before));
  await until(() => told() !== null, 'the heap of the server is told');
  const [, heap, resident] = told() ?? [];
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
      const { ask, close } = await kind.open(server);
      const warm = Math.ceil(count / 10);
      await askMany(ask, 0, warm);
      const bare = await heapOf(server);
      resident ||= bare.resident;
      const started = performance.now();
      await askMany(ask, warm, count);
      const seconds = (performance.now() - started) / 1_000;
      const ours = await heapOf(server);
      close();
      report({
        what: `heap after ${count} requests against ${warm}: ${kind.name}`,
        ours: ours.heap,
        bare: bare.heap,
        unit: 'MiB',
        budget: { kind: '<=', value: 1.1 },
        note: `${Math.round((count - warm) / seconds)}/s, resident ${Math.round(ours.resident)} MiB`,
      });
    }
    const end = await heapOf(server);
    report({
      what: 'resident memory after all of them against after the first',
      ours: end.resident,
      bare: resident,
      unit: 'MiB',
      budget: { kind: '<=', value: 1.25 },
    });
  } finally {
    await server.stop();
  }
});
