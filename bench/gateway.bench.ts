import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { ApiKeys } from '@millrace/accounts/api-keys';
import { systemClock } from '@millrace/base/clock';
import type { Principal } from '@millrace/contracts';
import { connectDatabase, type Database, type DatabaseAddress, migrateDatabase } from '@millrace/database';
import { ENGINES } from '@millrace/database/testing';
import { ApiProblem } from '@millrace/http';
import { until } from '@millrace/testing';
import { sql } from 'drizzle-orm';
import fastify from 'fastify';
import { openBenchServer } from './bench-server.ts';
import { median, report } from './measure.ts';

/*
 * Overhead of the HTTP server: the same handler behind a bare Fastify route, and behind the guard (API key lookup, permissions, rate limits, headers,
 * trace). Also the accuracy of the rate limit when many keys exceed it at once. The server is a separate process.
 */

const CONNECTIONS = 64;
/** Server processes, one after the other: the speed of a process depends on its memory layout. */
const SERVERS = 5;
/** Turns per server process. */
const TURNS = 500;
const WARM_TURNS = 100;
const TURN_REQUESTS = 8;
/** API keys of a tenant with a high rate limit, and of one with a low limit. */
const KEYS = { enterprise: 64, free: 250 } as const;
/** Each of the 250 keys sends twice its limit: 20 per second, with a limit of 10 per second and a burst of 40. */
const REQUESTS_PER_SECOND = 5_000;
const LIMIT_SECONDS = 20;
const RESPONSE = {
  id: 'binance:BTC-USDT',
  status: 'live',
  price: '64033.60',
  dayOpen: 63_900.1,
  dayHigh: 64_200,
  dayLow: 63_100.5,
  trades: 49_459,
};

function refuse(): never {
  throw new ApiProblem('INVALID_TOKEN', 'Unknown API key.', 'Send a valid API key.');
}

interface Served {
  /** TCP ports of the two servers. */
  readonly bare: number;
  readonly gateway: number;
  readonly keys: Record<keyof typeof KEYS, string[]>;
}

/** Runs the database in a separate process, as a server does, so that its CPU time is not measured. */
async function runDatabase(): Promise<void> {
  const running = await ENGINES[0]?.open();
  process.send?.(running?.address);
  process.on('disconnect', () => void running?.close().then(() => process.exit()));
}

async function serve(): Promise<void> {
  const plain = fastify();
  plain.get('/value', () => RESPONSE);
  await plain.listen({ port: 0, host: '127.0.0.1' });

  const databaseProcess = fork(import.meta.filename, ['database'], { execArgv: [] });
  const [address] = (await once(databaseProcess, 'message')) as [DatabaseAddress];
  const database = connectDatabase(address);
  await migrateDatabase(database, join(import.meta.dirname, '..', 'apps', 'server', 'migrations'));
  const keys = new ApiKeys(database, systemClock, false);
  const created: Record<string, string[]> = {};
  for (const [tier, count] of Object.entries(KEYS)) {
    await database.drizzle.execute(sql`insert into tenants values (${tier}, ${tier}, ${tier}, now())`);
    await database.drizzle.execute(
      sql`insert into users (id, name, email, created_at, updated_at, tenant, role) values (${tier}, ${tier}, ${`${tier}@example.com`}, now(), now(), ${tier}, 'viewer')`,
    );
    created[tier] = [];
    for (let index = 0; index < count; index++) created[tier].push(await newKey(database, keys, tier, `${index}`));
  }
  const gateway = await openBenchServer({
    connectionsMax: 1_000,
    identify: ({ headers }) => {
      const known = keys.identify(String(headers['x-api-key']));
      const valid = (found: Principal | null) => found ?? refuse();
      return known instanceof Promise ? known.then(valid) : valid(known);
    },
    register: ({ app }) => {
      app.get('/api/v1/counted', { config: { access: 'market:read' } }, () => RESPONSE);
      app.get('/api/v1/uncounted', { config: { access: 'market:read', cost: 0 } }, () => RESPONSE);
    },
  });
  const served: Served = {
    bare: (plain.server.address() as AddressInfo).port,
    gateway: Number(new URL(gateway.url).port),
    keys: created as Served['keys'],
  };
  process.send?.(served);
  let before = performance.eventLoopUtilization();
  process.on('message', () => {
    process.send?.(performance.eventLoopUtilization(before).utilization);
    before = performance.eventLoopUtilization();
  });
  process.on('disconnect', () => process.exit());
}

async function newKey(database: Database, keys: ApiKeys, user: string, name: string): Promise<string> {
  const about = { name, scopes: ['market:read'] as const, expiresAt: Date.now() + 86_400_000 };
  const created = await database.drizzle.transaction((transaction) => keys.create(user, about, Number.POSITIVE_INFINITY, transaction));
  if (!created) throw new Error('no key was created');
  return created.key;
}

async function measure(): Promise<void> {
  const overhead = new Comparison();
  const limiting = new Comparison();
  const busyShares: number[] = [];
  for (let count = 0; count < SERVERS; count++) {
    const { served, stop, busy } = await openServer();
    const { bare, gateway, keys } = served;
    const stopBusyLoop = startBusyLoop();
    const counted = await openRequests(gateway, '/api/v1/counted', keys.enterprise);
    await busy();
    await overhead.byTurns(counted, await openRequests(bare, '/value', keys.enterprise));
    await limiting.byTurns(counted, await openRequests(gateway, '/api/v1/uncounted', keys.enterprise));
    busyShares.push(await busy());
    stopBusyLoop();
    stop();
  }
  const turns = `turns of ${CONNECTIONS * TURN_REQUESTS} requests on ${CONNECTIONS} connections, an API key on each`;
  report({
    what: 'requests through the gateway',
    ...overhead.rates(),
    unit: 'requests/s',
    budget: { kind: '>=', value: 0.75 },
    note: `bare is a Fastify route; ${turns}; the server was busy ${percent(median(busyShares))} of the time`,
  });
  report({
    what: 'requests with rate limits and their headers',
    ...limiting.rates(),
    unit: 'requests/s',
    budget: { kind: '>=', value: 0.95 },
    note: `bare is the same route without a rate limit; ${turns}`,
  });
  const { served, stop } = await openServer();
  report({
    what: 'rate limit, largest error of a key',
    ours: await largestLimitError(served.gateway, served.keys.free),
    bare: null,
    unit: '% of the allowed requests',
    budget: { kind: '<=', value: 2 },
    note: `${REQUESTS_PER_SECOND} requests/s of ${KEYS.free} keys for ${LIMIT_SECONDS} s, twice the limit`,
  });
  stop();
}

interface OpenServer {
  readonly served: Served;
  /** Share of the time that the server was busy since the last call. Much below 1, the client is the bottleneck. */
  busy(): Promise<number>;
  stop(): void;
}

async function openServer(): Promise<OpenServer> {
  const child: ChildProcess = fork(import.meta.filename, ['server'], { execArgv: [] });
  const [served] = (await once(child, 'message')) as [Served];
  return {
    served,
    busy: async () => {
      const reply = once(child, 'message') as Promise<[number]>;
      child.send('busy?');
      return (await reply)[0];
    },
    stop: () => child.disconnect(),
  };
}

/** Keeps the client awake: waking it would cost the server more than the measured difference. Returns a function that stops the loop. */
function startBusyLoop(): () => void {
  let isRunning = true;
  const again = () => void (isRunning && setImmediate(again));
  again();
  return () => {
    isRunning = false;
  };
}

/**
 * Compares two handlers in alternating turns of about 10 ms. The speed of the machine changes by half within a run, but more slowly than the turns.
 * The result is therefore the median ratio of adjacent turns.
 */
class Comparison {
  readonly #shares: number[] = [];
  readonly #bareMs: number[] = [];

  async byTurns(ours: SendRequests, bare: SendRequests): Promise<void> {
    for (let count = 0; count < TURNS; count++) {
      // Alternates the order: the second turn also pays for the garbage of the first.
      const [first, second] = count % 2 === 0 ? [ours, bare] : [bare, ours];
      const firstMs = await turn(first);
      const secondMs = await turn(second);
      if (count < WARM_TURNS) continue;
      const [oursMs, bareMs] = count % 2 === 0 ? [firstMs, secondMs] : [secondMs, firstMs];
      this.#shares.push(bareMs / oursMs);
      this.#bareMs.push(bareMs);
    }
  }

  rates(): { ours: number; bare: number } {
    const bare = ((CONNECTIONS * TURN_REQUESTS) / median(this.#bareMs)) * 1_000;
    return { ours: bare * median(this.#shares), bare };
  }
}

/** Duration of a turn, ms. */
async function turn(send: SendRequests): Promise<number> {
  const started = performance.now();
  await send(TURN_REQUESTS);
  return performance.now() - started;
}

const percent = (share: number) => `${Math.round(share * 100)} %`;

/** Sends `times` sequential requests on each connection; resolves after all responses. */
type SendRequests = (times: number) => Promise<void>;

/** Opens connections with prepared request bytes, so that the client is not the bottleneck. */
async function openRequests(port: number, path: string, keys: readonly string[]): Promise<SendRequests> {
  let waiting = 0;
  let done: () => void = () => {};
  const connections = await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_none, index) => {
      const request = `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: ${keys[index % keys.length]}\r\n\r\n`;
      const socket = connect(port, '127.0.0.1').setNoDelay();
      await once(socket, 'connect');
      let left = 0;
      socket.on('data', (response: Buffer) => {
        if (response.indexOf('HTTP/1.1 200') !== 0) throw new Error(`no 200: ${response.toString().slice(0, 200)}`);
        if (--left > 0) socket.write(request);
        else if (--waiting === 0) done();
      });
      return (times: number) => {
        left = times;
        socket.write(request);
      };
    }),
  );
  return (times) =>
    new Promise((resolve) => {
      waiting = connections.length;
      done = resolve;
      for (const sendOn of connections) sendOn(times);
    });
}

/**
 * Largest error of the rate limit, %. Every key sends twice its limit; the accepted requests are compared with burst and rate over that time.
 * Each key has a separate connection and prepared request bytes, because a slow client would record other times than the server.
 */
async function largestLimitError(port: number, keys: readonly string[]): Promise<number> {
  const connections = await Promise.all(keys.map((key) => countingConnection(port, key)));
  // One request per key loads it into the cache; the pause refills its bucket.
  for (const { send } of connections) send();
  await until(() => connections.every(({ responses }) => responses() === 1), 'every key is cached');
  await setTimeout(1_000);
  for (const { begin } of connections) begin();
  const started = performance.now();
  const total = REQUESTS_PER_SECOND * LIMIT_SECONDS;
  for (let sent = 0; sent < total; await setTimeout(1)) {
    const due = Math.min(total, ((performance.now() - started) / 1_000) * REQUESTS_PER_SECOND);
    for (; sent < due; sent++) connections[sent % connections.length]?.send();
  }
  await until(() => connections.every(({ responses }) => responses() === total / connections.length), 'all responses arrived');
  const { requestsPerSecond, burst } = { requestsPerSecond: 10, burst: 40 };
  return Math.max(
    ...connections.map(({ end }) => {
      const { allowed, first, last } = end();
      const expected = burst + ((last - first) / 1_000) * requestsPerSecond;
      return (Math.abs(allowed - expected) / expected) * 100;
    }),
  );
}

/** A connection that sends requests of one key and counts the accepted and the refused ones. */
async function countingConnection(port: number, key: string) {
  const request = `GET /api/v1/counted HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: ${key}\r\n\r\n`;
  const socket = connect(port, '127.0.0.1').setNoDelay();
  await once(socket, 'connect');
  const counts = { allowed: 0, refused: 0, first: 0, last: 0 };
  let rest = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    counts.last = performance.now();
    counts.first ||= counts.last;
    for (const [, status] of (rest + text).matchAll(/HTTP\/1\.1 (\d{3})/g)) {
      if (status === '200') counts.allowed++;
      else if (status === '429') counts.refused++;
      else throw new Error(`neither 200 nor 429: ${status}`);
    }
    // Keeps less than a complete status line, so that no response is counted twice.
    rest = (rest + text).slice(1 - 'HTTP/1.1 200'.length);
  });
  return {
    send: () => void socket.write(request),
    responses: () => counts.allowed + counts.refused,
    begin: () => Object.assign(counts, { allowed: 0, refused: 0, first: 0, last: 0 }),
    end: () => {
      socket.destroy();
      return counts;
    },
  };
}

if (process.send && process.argv[2] === 'server') await serve();
else if (process.send && process.argv[2] === 'database') await runDatabase();
else await measure();
