import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { apiKey, createClient, type StreamMessage } from '@millrace/client';
import { tcp } from '@millrace/client/tcp';
import { WorldClient } from '@millrace/client/world';
import type { Account, AuditEntry, Connections, Invitation, NewTenant, Page, Problem, Server, World } from '@millrace/contracts';
import { ENGINES, type TestDatabase } from '@millrace/database/testing';
import { openTestRedis, redisProgram, type TestRedis } from '@millrace/redis/testing';
import { freePort, until } from '@millrace/testing';
import { createClient as createGraphClient } from 'graphql-ws';
import WebSocket from 'ws';
import { Visitor, wordIn } from '../accounts/visitor.ts';
import { contentOf } from '../response.ts';
import { type ServerProcess, startServer } from '../server.ts';

const postgres = ENGINES.find(({ name }) => name === 'PostgreSQL');
const left = { skip: (postgres && redisProgram()) || process.env.CI ? false : 'there is no PostgreSQL or no Redis on this machine' };

describe('a gateway in front of two servers', left, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-gateway-'));
  let database: TestDatabase;
  let redis: TestRedis;
  let ports: { gateway: number; world: number; one: number; two: number };
  let shared: Record<string, string>;
  const running = new Map<string, ServerProcess>();
  let gateway: ServerProcess;
  let owner: Visitor;

  const start = async (name: 'one' | 'two' | 'gateway', env: Record<string, string>, flags: readonly string[] = []) => {
    const cwd = join(folder, name);
    mkdirSync(cwd, { recursive: true });
    const server = await startServer(['up', '--port', String(ports[name]), '--data', 'data', ...flags], {
      cwd,
      env: { ...shared, ...env },
    });
    running.set(name, server);
    return server;
  };
  /** The server with the world. */
  const startOne = () =>
    start('one', {
      MILLRACE_GATEWAY__ADVERTISED_URL: `http://127.0.0.1:${ports.one}`,
      MILLRACE_WORLDS__COLUMNS: '1',
      MILLRACE_WORLDS__ROWS: '1',
      // The default is the port above its own, which may be taken.
      MILLRACE_WORLDS__TCP_PORT: '0',
    });
  const startTwo = () =>
    start('two', { MILLRACE_GATEWAY__ADVERTISED_URL: `http://127.0.0.1:${ports.two}`, MILLRACE_WORLDS__ENABLED: 'false' });
  const servers = () => owner.get<Server[]>('GET', '/servers');
  const untilServers = async (holds: (behind: Server[]) => boolean) => {
    await until(async () => {
      const answer = await fetch(`${gateway.url}/api/v1/servers`, { headers: { 'x-api-key': operatorKey } });
      const [, ...behind] = (await contentOf(answer)) as Server[];
      return holds(behind);
    }, 'the list of servers that is expected');
  };
  let operatorKey: string;

  before(async () => {
    ports = { gateway: await freePort(), world: await freePort(), one: await freePort(), two: await freePort() };
    database = (await postgres?.open()) as TestDatabase;
    redis = await openTestRedis(await freePort());
    shared = {
      MILLRACE_DEMO: 'false',
      MILLRACE_DATABASE__URL: 'url' in database.address ? database.address.url : '',
      MILLRACE_REDIS__URL: redis.tcpUrl,
      MILLRACE_PUBLIC_URL: `http://127.0.0.1:${ports.gateway}`,
      MILLRACE_ENCRYPTION__KEY: randomBytes(32).toString('base64'),
      MILLRACE_GATEWAY__TRUSTED_PROXIES: '["127.0.0.1"]',
    };
    await startOne();
    // Only the newest owner link is valid.
    const [link = ''] = /http\S+invitation=\S+/.exec((await startTwo()).errors()) ?? [];
    gateway = await start('gateway', { MILLRACE_WORLDS__TCP_PORT: String(ports.world) }, ['--role', 'gateway']);
    // Like a load balancer in front of gateways.
    await until(async () => (await fetch(`${gateway.url}/health/ready`)).status === 200, 'the gateway is ready');
    owner = new Visitor(gateway.url);
    await owner.signUp('Owner', 'owner@example.com', wordIn(link));
    operatorKey = (await owner.key('watch', ['platform:read', 'platform:operate', 'market:read', 'account:read', 'account:write'])).key;
  });
  after(async () => {
    for (const server of running.values()) await server.stop();
    await redis?.close();
    await database?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const newUser = async (name: string): Promise<Visitor> => {
    const { link } = await owner.get<Invitation>('POST', '/tenants/main/invitations', { role: 'trader', email: `${name}@example.com` });
    const user = new Visitor(gateway.url);
    await user.signUp(name, `${name}@example.com`, wordIn(link));
    return user;
  };

  test('finds the registered servers, and the one with the world', async () => {
    await untilServers((behind) => behind.filter(({ state }) => state === 'available').length === 2);
    const [self, ...behind] = await servers();
    assert.equal(self?.role, 'gateway');
    assert.deepEqual(
      behind.map(({ address }) => address).sort(),
      [`http://127.0.0.1:${ports.one}`, `http://127.0.0.1:${ports.two}`].sort(),
    );
    assert.deepEqual(
      behind.map(({ address, worldPort }) => [address, worldPort !== null]).sort(),
      [
        [`http://127.0.0.1:${ports.one}`, true],
        [`http://127.0.0.1:${ports.two}`, false],
      ].sort(),
    );
  });

  test('sign-in, accounts, keys and markets work through it as directly', async () => {
    const kim = await newUser('kim');
    assert.equal((await kim.get<Account>('GET', '/account')).name, 'kim');
    const { key } = await kim.key('bot', ['market:read']);
    const asked = new Visitor(gateway.url, { 'x-api-key': key });
    const instruments = await asked.get<{ id: string }[]>('GET', '/instruments');
    assert.ok(instruments.length > 0);
    assert.equal(await asked.refusal('GET', '/account'), 'FORBIDDEN');
    assert.equal(await new Visitor(gateway.url).refusal('GET', '/instruments'), 'UNAUTHENTICATED');
    const candles = await asked.ask('GET', `/api/v1/instruments/${instruments[0]?.id}/candles?interval=1m&limit=5`);
    const etag = candles.headers.get('etag') ?? '';
    assert.equal(candles.status, 200);
    assert.ok(etag.startsWith('"'));
    // The log has the address of the client, not of the gateway.
    const from = '127.0.0.7';
    const cookie = [...kim.jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const made = request(`${gateway.url}/api/v1/account/keys`, {
      method: 'POST',
      localAddress: from,
      headers: { cookie, 'content-type': 'application/json' },
    }).end(JSON.stringify({ name: 'from elsewhere', scopes: ['market:read'] }));
    const [{ statusCode }] = (await once(made, 'response')) as [IncomingMessage];
    assert.equal(statusCode, 201);
    const lines = await owner.get<AuditEntry[]>('GET', '/tenants/main/audit?limit=5');
    assert.deepEqual(lines.filter(({ actor, remote }) => actor === 'kim' && remote === from).length, 1, JSON.stringify(lines));
  });

  test('a request is counted once', async () => {
    const { link } = (await owner.get<NewTenant>('POST', '/tenants', { id: 'small', name: 'Small', tier: 'free' })).invitation;
    const admin = new Visitor(gateway.url);
    await admin.signUp('Small admin', 'admin@small.example', wordIn(link));
    const { key } = await admin.key('few', ['market:read']);
    // Forty requests at once are allowed: counted twice, half of them would be refused.
    const answers = await Promise.all(
      Array.from({ length: 38 }, () => fetch(`${gateway.url}/api/v1/instruments`, { headers: { 'x-api-key': key } })),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    const more = await Promise.all(
      Array.from({ length: 60 }, () => fetch(`${gateway.url}/api/v1/instruments`, { headers: { 'x-api-key': key } })),
    );
    assert.ok(
      more.some(({ status }) => status === 429),
      'and it is counted',
    );
  });

  test('headers of gateways are accepted from gateways only', async () => {
    const forged = Buffer.from(JSON.stringify({ at: Date.now(), principal: { name: 'me', permissions: ['platform:admin'] } })).toString(
      'base64url',
    );
    const headers = { 'x-millrace-vouch': `${forged}.${'a'.repeat(43)}` };
    // The gateway ignores the header; a server refuses it.
    const atGateway = await fetch(`${gateway.url}/api/v1/sources`, { headers });
    assert.equal(((await atGateway.json()) as Problem).code, 'UNAUTHENTICATED');
    const atServer = await fetch(`http://127.0.0.1:${ports.one}/api/v1/sources`, { headers });
    assert.equal(((await atServer.json()) as Problem).code, 'INVALID_TOKEN');
  });

  test('private streams work through it, over server-sent events and WebSocket', async () => {
    for (const transport of ['sse', 'websocket'] as const) {
      const client = createClient({ url: gateway.url, credentials: apiKey(operatorKey), transport });
      const told: StreamMessage[] = [];
      let wake = () => {};
      const stop = client.watch(['user'], (message) => {
        told.push(message);
        wake();
      });
      const has = async (event: string) => {
        while (!told.some((message) => message.event === event))
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      };
      await has('account');
      // The first snapshot of a new account may still be pending.
      for (;;) {
        const refused = await client.regenerateSnapshot().then(
          () => null,
          (error: Error & { code?: string }) => error.code,
        );
        if (refused === null) break;
        assert.equal(refused, 'CONFLICT');
        await has('snapshots.generated');
      }
      await has('snapshots.generated');
      stop();
      client.close();
    }
  });

  test('a stream ends with the reason when its credential is revoked', async () => {
    const { key, id } = await owner.key('short', ['market:read']);
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/api/v1/socket`, { headers: { 'x-api-key': key } });
    await once(socket, 'open');
    socket.send(JSON.stringify({ op: 'subscribe', id: 1, channels: ['tickers'] }));
    await once(socket, 'message');
    const { users } = await owner.get<Connections>('GET', '/connections');
    assert.ok(users.some(({ transport }) => transport === 'websocket'));
    const closed = once(socket, 'close');
    await owner.get('DELETE', `/account/keys/${id}`);
    const [, reason] = (await closed) as [number, Buffer];
    assert.match(reason.toString(), /not-any-more/);
    const refused = new WebSocket(`${gateway.url.replace('http', 'ws')}/api/v1/socket`, { headers: { 'x-api-key': key } });
    const [, response] = (await once(refused, 'unexpected-response')) as [unknown, { statusCode: number }];
    assert.equal(response.statusCode, 401);
  });

  test('GraphQL works through it: queries, and subscriptions over WebSocket', async () => {
    const answer = await fetch(`${gateway.url}/api/v1/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': operatorKey },
      body: JSON.stringify({ query: '{ instruments { data { id } } }' }),
    });
    const { data } = (await answer.json()) as { data: { instruments: Page<{ id: string }> } };
    assert.ok(data.instruments.data.length > 0);
    const client = createGraphClient({
      url: `${gateway.url.replace('http', 'ws')}/api/v1/graphql`,
      webSocketImpl: class extends WebSocket {
        constructor(url: string, protocols: string[]) {
          super(url, protocols, { headers: { 'x-api-key': operatorKey } });
        }
      },
    });
    for await (const { errors } of client.iterate({ query: 'subscription { events(channels: ["tickers"]) { event } }' })) {
      assert.equal(errors, undefined);
      break;
    }
    await client.dispose();
  });

  test('fault 70: anonymous requests cannot open the circuit of a server', async () => {
    const { hostname, port } = new URL(gateway.url);
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
    for (const target of ['http://x/api/v1/socket', "/api/v1/socket?a='b'", '/api/v1/socket#c', 'http://x/api/v1/graphql', '*'])
      for (let count = 0; count < 12; count++) {
        const socket = connect(Number(port), hostname);
        socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n${upgrade}\r\n\r\n`);
        await once(socket, 'data');
        socket.destroy();
      }
    assert.deepEqual(
      (await servers()).slice(1).map(({ circuit }) => circuit),
      ['closed', 'closed'],
    );
    const headers = { 'x-api-key': operatorKey };
    for (const query of ["?a='b'", '?a=%23', '?a=[b]|c'])
      assert.equal((await fetch(`${gateway.url}/api/v1/stream?channels=tickers&${query.slice(1)}`, { headers })).status, 400, query);
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/api/v1/socket?a='b'`, { headers });
    await once(socket, 'open');
    socket.close();
  });

  test('fault 81: servers accept every head that a gateway accepts; a larger one is refused and counts against no server', async () => {
    const ask = async (bytes: number) => {
      const headers = { 'x-api-key': operatorKey, 'x-long': 'x'.repeat(bytes) };
      const asked = request(`${gateway.url}/api/v1/instruments`, { agent: false, headers }).end();
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      response.resume();
      return response.statusCode;
    };
    const before = (await servers()).map(({ failures }) => failures);
    for (let count = 0; count < 3; count++) assert.deepEqual([await ask(15_700), await ask(17_000)], [200, 431]);
    assert.deepEqual(
      (await servers()).map(({ failures }) => failures),
      before,
    );
  });

  test('players connect through it, over TCP and WebSocket', async () => {
    const world = await owner.get<World>('GET', '/world');
    assert.equal(world.tcpPort, ports.world);
    const kim = await newUser('player');
    const { token } = await kim.get<{ token: string }>('POST', '/world/players', { name: 'lee' });
    const client = new WorldClient({ connect: tcp({ host: '127.0.0.1', port: ports.world }), token });
    assert.deepEqual(await client.join(), { ok: true });
    client.close();
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}${world.socketPath}`);
    await once(socket, 'open');
    socket.close();
  });

  test('when a server is killed, its users continue on the other, and return', async () => {
    const [, ...behind] = await servers();
    const count = ({ address }: Server) => behind.find((one) => one.address === address)?.requests ?? 0;
    const user = await newUser('lee');
    // Finds the server of this user.
    for (let asked = 0; asked < 5; asked++) await user.get('GET', '/instruments');
    const [, ...since] = await servers();
    const two = since.find(({ worldPort }) => worldPort === null) as Server;
    const isAtTwo = two.requests - count(two) >= 5;
    const victim = isAtTwo ? 'two' : 'one';
    const { key } = await user.key('stream', ['market:read', 'account:read', 'account:write']);
    const client = createClient({ url: gateway.url, credentials: apiKey(key), transport: 'sse' });
    let accounts = 0;
    let wake = () => {};
    const stop = client.watch(['user'], ({ event }) => {
      if (event === 'account') accounts++;
      wake();
    });
    const told = async (times: number) => {
      while (accounts < times)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    };
    await told(1);
    await running.get(victim)?.kill();
    // Users notice only the reconnection of streams: requests that cannot be sent go to another server at once.
    await user.get('GET', '/instruments');
    await user.get('POST', '/account/keys', { name: 'after', scopes: ['market:read'] });
    await told(2);
    stop();
    client.close();
    await untilServers((each) => each.some(({ state }) => state === 'unavailable') || each.length === 1);
    if (victim === 'one') assert.equal(await owner.refusal('GET', '/world'), 'NO_SERVER_AVAILABLE');
    await (victim === 'one' ? startOne() : startTwo());
    await untilServers((each) => each.filter(({ state }) => state === 'available').length === 2);
    await user.get('GET', '/instruments');
  });

  test('without any server it reports that, also to load balancers', async () => {
    await running.get('one')?.stop();
    await running.get('two')?.stop();
    await untilServers((each) => each.every(({ state }) => state === 'unavailable'));
    const ready = await fetch(`${gateway.url}/health/ready`);
    assert.equal(ready.status, 503);
    const refused = await fetch(`${gateway.url}/api/v1/instruments`, { headers: { 'x-api-key': operatorKey } });
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get('retry-after'), '1');
    assert.equal(((await refused.json()) as Problem).code, 'NO_SERVER_AVAILABLE');
    const metrics = await fetch(`${gateway.url}/metrics`, { headers: { 'x-api-key': operatorKey } });
    assert.match(await metrics.text(), /millrace_gateway_streams/);
    await startTwo();
    await untilServers((each) => each.some(({ state }) => state === 'available'));
    await owner.get('GET', '/instruments');
  });

  test('fault 78: it stops in order, and ends streams with a reason', async () => {
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/api/v1/socket`, { headers: { 'x-api-key': operatorKey } });
    await once(socket, 'open');
    const stream = await fetch(`${gateway.url}/api/v1/stream?channels=tickers`, { headers: { 'x-api-key': operatorKey } });
    const told = stream.text();
    const closed = once(socket, 'close') as Promise<[number, Buffer]>;
    const signIn = new Visitor(gateway.url).ask('POST', '/api/v1/auth/sign-in', {
      email: 'nobody@example.com',
      password: 'certainly not this',
    });
    await fetch(`${gateway.url}/health/live`);
    assert.equal(await gateway.stop(), 0);
    assert.equal((await signIn).status, 401);
    const [code, reason] = await closed;
    assert.deepEqual([code, reason.toString()], [1001, 'the server stops']);
    assert.match(await told, /event: bye\ndata: \{"reason":"the server stops"\}\n\n$/);
  });
});

test('a gateway without the shared database or Redis does not start, and names what is missing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-gateway-'));
  const failed = await startServer(['up', '--port', '0', '--role', 'gateway', '--data', 'data'], {
    cwd: folder,
    env: { MILLRACE_DEMO: 'false' },
  }).then(
    () => '',
    (error: Error) => error.message,
  );
  for (const path of [...(process.env.TEST_POSTGRES ? [] : ['database.url']), 'publicUrl', 'gateway.servers'])
    assert.match(failed, new RegExp(path));
  rmSync(folder, { recursive: true, force: true });
});

/** A free port: addresses must be known before the servers listen. */
