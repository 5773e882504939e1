import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server as NodeServer, type RequestListener, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { afterEach, describe, test } from 'node:test';
import { ENDPOINTS, type Endpoint, type Problem, type Server } from '@millrace/contracts';
import { bodyDigestOf, connectionOf } from '@millrace/http';
import { until } from '@millrace/testing';
import fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify';
import { OpenStreams } from '../http/open-streams.ts';
import { respondWithProblems } from '../http/problems.ts';
import { normaliseTarget } from '../http/request-target.ts';
import { traceIdOf } from '../http/trace.ts';
import { routeUpgrades } from '../http/upgrades.ts';
import { forward, forwardUpgrade, type Tunnel } from './forward.ts';
import { Servers, type ServersOptions } from './servers.ts';
import { kim } from './testing/kim.ts';
import { VOUCH_HEADER, Vouching, VouchReader } from './vouching.ts';

const STREAMS_MAX = 3;

describe('servers behind a gateway', () => {
  const closing: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  /** Servers that no longer respond to health checks, like a stopped process (SIGSTOP). */
  const stuck = new WeakSet<NodeServer>();
  /** Interval and time limit of health checks in these tests, ms. */
  const HEALTH = { everyMs: 20, responseMsMax: 300 };

  /** A healthy server that passes other requests to the listener of the test, and records them. */
  async function behind(listener: RequestListener): Promise<{ address: string; server: NodeServer; received: IncomingMessage[] }> {
    const received: IncomingMessage[] = [];
    const server: NodeServer = createServer((request, response) => {
      if (request.url === '/api/v1/servers' && stuck.has(server)) return;
      if (request.url === '/api/v1/servers')
        return respond(response, {
          data: [{ node: 'behind', role: 'all', state: 'available', worldPort: null } as Server],
          hasMore: false,
          nextCursor: null,
        });
      received.push(request);
      listener(request, response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(async () => {
      server.closeAllConnections();
      server.close();
    });
    return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, received };
  }

  async function gateway(
    addresses: readonly string[],
    options: FastifyServerOptions = { rewriteUrl: normaliseTarget },
    looking: Partial<Pick<ServersOptions, 'find' | 'health'>> = {},
  ): Promise<{ app: FastifyInstance; servers: Servers; streams: OpenStreams; tunnels: Set<Tunnel> }> {
    const vouching = new Vouching('secret', Date.now);
    const servers = new Servers({ addresses, find: null, vouching, onChange: () => {}, ...looking });
    await servers.asked();
    const app = fastify({ genReqId: ({ headers }) => traceIdOf(headers), ...options });
    respondWithProblems(app);
    const streams = new OpenStreams(STREAMS_MAX, Date.now);
    const tunnels = new Set<Tunnel>();
    const forwarding = { servers, vouching, streams, tunnels };
    app.addHook('onRequest', async (request, reply) => {
      request.principal = kim;
      const { 'x-varies': varies } = request.headers;
      if (varies !== undefined) reply.header('vary', varies);
      if (request.headers['x-check'] === 'slow') await once(request.raw.socket, 'close');
    });
    routeUpgrades(app, {});
    app.all('/*', (request, reply) => {
      const take = connectionOf(request, reply);
      return take
        ? forwardUpgrade(forwarding, { world: false, transport: 'websocket' }, request, reply, take)
        : forward(
            forwarding,
            { world: false, transport: 'sse', isRepeatable: request.url !== '/once', isIdempotencyKeyTaken: request.url === '/orders' },
            request,
            reply,
          );
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    closing.push(
      () => servers.close(),
      () => app.close(),
    );
    return { app, servers, streams, tunnels };
  }
  const urlOf = (app: FastifyInstance) => `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const respond = (response: ServerResponse, value: unknown) =>
    void response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
  const codeOf = async (response: Response) => ((await response.json()) as Problem).code;

  test('a user gets the same server; when it disconnects, only its users move to others', async () => {
    const all = await Promise.all([1, 2, 3].map(() => behind((_request, response) => respond(response, {}))));
    const { servers } = await gateway(all.map(({ address }) => address));
    const placeOf = (whose: string, without?: string) => {
      const tried = new Set(
        without === undefined ? [] : [servers.choose({ whose: without, world: false }, new Set())].filter((one) => one !== null),
      );
      return servers.choose({ whose, world: false }, tried)?.address;
    };
    const users = Array.from({ length: 300 }, (_, index) => `user-${index}`);
    const counts = new Map<string | undefined, number>();
    for (const user of users) {
      assert.equal(placeOf(user), placeOf(user));
      counts.set(placeOf(user), (counts.get(placeOf(user)) ?? 0) + 1);
      // As if the server of the first user were unavailable.
      if (placeOf(user) !== placeOf('user-0')) assert.equal(placeOf(user, 'user-0'), placeOf(user));
    }
    for (const [address, count] of counts) assert.ok(count > 60, `${address} has ${count} of 300`);
    assert.equal(servers.choose({ whose: 'kim', world: true }, new Set()), null);
  });

  test('after a lost connection only a safe request is sent to another server', async () => {
    const lost: RequestListener = (request) => void request.socket.destroy();
    const [one, two] = [await behind(lost), await behind(lost)];
    const { app } = await gateway([one.address, two.address]);
    const posted = await fetch(`${urlOf(app)}/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"buy":1}',
    });
    assert.equal(posted.status, 502);
    assert.equal(await codeOf(posted), 'SERVER_CONNECTION_LOST');
    assert.equal(one.received.length + two.received.length, 1, 'an order is sent once');
    const read = await fetch(`${urlOf(app)}/orders`);
    assert.equal(read.status, 503);
    assert.equal(read.headers.get('retry-after'), '1');
    assert.equal(await codeOf(read), 'NO_SERVER_AVAILABLE');
    assert.equal(one.received.length + two.received.length, 3, 'a read is sent to both');
  });

  test('a POST with an Idempotency-Key is sent to another server, if its operation takes one', async () => {
    const lost: RequestListener = (request) => void request.socket.destroy();
    const [one, two] = [await behind(lost), await behind(lost)];
    const { app } = await gateway([one.address, two.address]);
    const post = (path: string) => fetch(`${urlOf(app)}${path}`, { method: 'POST', headers: { 'idempotency-key': 'a-key' } });
    assert.equal(await codeOf(await post('/sign-in')), 'SERVER_CONNECTION_LOST');
    assert.equal(one.received.length + two.received.length, 1);
    assert.equal(await codeOf(await post('/orders')), 'NO_SERVER_AVAILABLE');
    assert.equal(one.received.length + two.received.length, 3);
    for (const { headers, url } of [...one.received, ...two.received]) assert.equal(headers['idempotency-key'], 'a-key', url);
  });

  test('a POST to a server that cannot be reached is sent to another server', async () => {
    const [one, two] = await Promise.all([1, 2].map((name) => behind((_request, response) => respond(response, { name }))));
    const { app } = await gateway([one?.address ?? '', two?.address ?? '']);
    const first = (await (await fetch(`${urlOf(app)}/orders`, { method: 'POST' })).json()) as { name: number };
    const victim = first.name === 1 ? one : two;
    victim?.server.closeAllConnections();
    victim?.server.close();
    const second = (await (await fetch(`${urlOf(app)}/orders`, { method: 'POST' })).json()) as { name: number };
    assert.notEqual(second.name, first.name);
  });

  test('repeated failures open the circuit of a server', async () => {
    const failing = await behind((request) => void request.socket.destroy());
    const { app, servers } = await gateway([failing.address]);
    for (let time = 0; time < 8; time++) await fetch(`${urlOf(app)}/`, { method: 'POST' });
    assert.equal(failing.received.length, 5, 'after five failures in a row nothing is sent for two seconds');
    assert.equal(servers.list()[0]?.circuit, 'open');
    assert.equal(await codeOf(await fetch(`${urlOf(app)}/`, { method: 'POST' })), 'NO_SERVER_AVAILABLE');
  });

  /** Sends a request for a WebSocket upgrade. @returns the status line of the response */
  const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];

  async function requestWebSocket(app: FastifyInstance, target: string): Promise<string> {
    const { port } = app.server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1').setEncoding('latin1');
    socket.write(`GET ${target} HTTP/1.1\r\nHost: gateway\r\n${UPGRADE.join('\r\n')}\r\n\r\n`);
    const [text] = (await once(socket, 'data')) as [string];
    socket.destroy();
    return text.split('\r\n')[0] ?? '';
  }

  test('fault 70: a request that cannot be sent counts against no server', async () => {
    const { address } = await behind((_request, response) => respond(response, {}));
    // As if targets were not validated before: no request line can contain this one.
    const { app, servers } = await gateway([address], { rewriteUrl: () => '/\u0100' });
    for (let count = 0; count < 8; count++) {
      assert.match(await requestWebSocket(app, '/api/v1/socket'), / 500 /);
      assert.equal((await fetch(`${urlOf(app)}/instruments`)).status, 500);
    }
    assert.deepEqual(
      servers.list().map(({ circuit, failures }) => [circuit, failures]),
      [['closed', 0]],
    );
  });

  test('fault 70: a server gets the target in origin-form, exactly as the gateway signed it', async () => {
    const { address, received, server } = await behind((_request, response) => respond(response, {}));
    server.on('upgrade', (request, socket) => {
      received.push(request);
      socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    });
    const { app } = await gateway([address]);
    const targets = ['http://x/api/v1/socket', "/api/v1/socket?name='a'|[b]", '//x/y', '/a/../b?c=%00'];
    for (const target of targets) assert.match(await requestWebSocket(app, target), / 101 /, target);
    assert.deepEqual(
      received.map(({ url }) => url),
      ['/api/v1/socket', ...targets.slice(1)],
    );
    const reader = new VouchReader('secret', Date.now, address);
    for (const request of received) assert.deepEqual(reader.read(request)?.principal, kim, request.url);
    assert.equal(received[0]?.headers.host, 'x');
  });

  test('fault 79: requests that wait for a stuck server move to another if that is safe; others fail', {
    timeout: 20_000,
  }, async () => {
    const listener =
      (name: number): RequestListener =>
      (_request, response) => {
        const each = [one, two][name - 1];
        if (each && !stuck.has(each.server)) respond(response, { name });
      };
    const one = await behind(listener(1));
    const two = await behind(listener(2));
    const { app } = await gateway([one.address, two.address], undefined, { health: HEALTH });
    const { name } = (await (await fetch(`${urlOf(app)}/orders`)).json()) as { name: number };
    stuck.add((name === 1 ? one : two).server);
    const [read, written, upgraded] = await Promise.all([
      fetch(`${urlOf(app)}/orders`),
      fetch(`${urlOf(app)}/orders`, { method: 'POST' }),
      requestWebSocket(app, '/api/v1/socket'),
    ]);
    assert.deepEqual(await read.json(), { name: 3 - name });
    assert.deepEqual([written.status, await codeOf(written)], [502, 'SERVER_CONNECTION_LOST']);
    assert.match(upgraded, / 200 /, 'the other server responded; in this test it has no WebSockets');
    assert.deepEqual(await (await fetch(`${urlOf(app)}/orders`, { method: 'POST' })).json(), { name: 3 - name });
  });

  test('fault 76: servers that are no longer listed stay while they respond, and so do their streams', async () => {
    const { address, server } = await behind((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n');
    });
    let lists = 0;
    let listed = [address];
    const find = async () => {
      lists++;
      return listed;
    };
    const { app, servers } = await gateway([], undefined, { find, health: HEALTH });
    const until = async (holds: () => boolean) => {
      while (!holds()) await new Promise((resolve) => setImmediate(resolve));
    };
    const leaving = new AbortController();
    const { signal } = leaving;
    const stream = await fetch(`${urlOf(app)}/stream`, { signal });
    // As after FLUSHALL, until the servers have registered again.
    listed = [];
    const emptyFrom = lists;
    await until(() => lists > emptyFrom + 3);
    assert.deepEqual(
      servers.list().map(({ address: each, state }) => [each, state]),
      [[address, 'available']],
    );
    assert.equal((await fetch(`${urlOf(app)}/stream`, { signal })).status, 200);
    stuck.add(server);
    await until(() => servers.list().length === 0);
    // The server may only be slow: its streams are not cut.
    const { value } = (await stream.body?.getReader().read()) ?? {};
    assert.equal(Buffer.from(value ?? []).toString(), 'data: 1\n\n');
    leaving.abort();
  });

  test('forwards a request with its sender, without headers that only a gateway may set', async () => {
    const { address, received } = await behind((request, response) => {
      let text = '';
      request.on('data', (chunk) => {
        text += chunk;
      });
      request.on('end', () => {
        response.setHeader('set-cookie', ['a=1', 'b=2']);
        response.setHeader('x-request-id', 'of the server');
        response.statusCode = 201;
        respond(response, { text });
      });
    });
    const { app } = await gateway([address]);
    const response = await fetch(`${urlOf(app)}/orders?x=%20y`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', cookie: 'c=3', [VOUCH_HEADER]: 'forged', 'x-forwarded-for': '1.2.3.4' },
      body: '{ "buy" : 1 }',
    });
    assert.equal(response.status, 201);
    assert.deepEqual(await response.json(), { text: '{"buy":1}' });
    assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2']);
    assert.notEqual(response.headers.get('x-request-id'), 'of the server');
    const [request] = received;
    assert.equal(request?.url, '/orders?x=%20y');
    assert.equal(request?.headers.cookie, 'c=3');
    assert.equal(request?.headers.host, new URL(urlOf(app)).host);
    assert.equal(request?.headers['x-forwarded-for'], '127.0.0.1');
    assert.match(String(request?.headers.traceparent), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    const vouched = new VouchReader('secret', Date.now, address).read(request as IncomingMessage);
    assert.deepEqual(vouched, { principal: kim, bodyDigest: bodyDigestOf('{"buy":1}') });
  });

  test('fault 81: forwards Vary, and no hop-by-hop header', async () => {
    const { address } = await behind((_request, response) => {
      response.setHeader('vary', 'Accept-Encoding, origin');
      response.setHeader('connection', 'keep-alive, X-Private');
      response.setHeader('x-private', 'between gateway and server');
      response.setHeader('x-public', 'for the client');
      respond(response, {});
    });
    const { app } = await gateway([address]);
    const { headers } = await fetch(`${urlOf(app)}/x`);
    assert.deepEqual(
      [headers.get('vary'), headers.get('x-private'), headers.get('x-public')],
      ['accept-encoding, origin', null, 'for the client'],
    );
    const merged = await fetch(`${urlOf(app)}/x`, { headers: { 'x-varies': 'Origin, Cookie' } });
    assert.equal(merged.headers.get('vary'), 'origin, cookie, accept-encoding');
  });

  test('fault 81: a GET with an effect is sent to one server only', async () => {
    const lost: RequestListener = (request) => void request.socket.destroy();
    const [one, two] = [await behind(lost), await behind(lost)];
    const { app } = await gateway([one.address, two.address]);
    const response = await fetch(`${urlOf(app)}/once`);
    assert.equal(await codeOf(response), 'SERVER_CONNECTION_LOST');
    assert.equal(one.received.length + two.received.length, 1);
    const paths = Object.values<Endpoint>(ENDPOINTS).filter(({ isRepeatable }) => isRepeatable === false);
    assert.deepEqual(
      paths.map(({ path }) => path),
      ['/api/v1/auth/callback/:provider'],
    );
  });

  test('a stream is counted while it is open; when the client disconnects, the server is disconnected too', async () => {
    const { address, received } = await behind((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    });
    const { app, servers, streams } = await gateway([address]);
    const leaving = new AbortController();
    const response = await fetch(`${urlOf(app)}/stream`, { signal: leaving.signal });
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    assert.equal(streams.size, 1);
    assert.equal(servers.list()[0]?.open, 1);
    const [behindIt] = received;
    const gone = once(behindIt?.socket as never, 'close');
    leaving.abort();
    await gone;
    while (streams.size > 0 || servers.list()[0]?.open !== 0) await new Promise((resolve) => setImmediate(resolve));
  });

  test('a stream is not counted when the client disconnects while its credential is checked', async () => {
    const { address } = await behind((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    });
    const { app, servers, streams } = await gateway([address]);
    const requested = once(app.server, 'request');
    const client = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
    client.write('GET /stream HTTP/1.1\r\nHost: gateway\r\nX-Check: slow\r\n\r\n');
    await requested;
    client.destroy();
    const leaving = new AbortController();
    assert.equal((await fetch(`${urlOf(app)}/stream`, { signal: leaving.signal })).status, 200);
    await until(() => streams.size === 1 && servers.list()[0]?.open === 1, 'only the stream of the other client is open');
    leaving.abort();
  });

  test('a stream over the limit is refused, and disconnected from the server', async () => {
    const { address, server, received } = await behind((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    });
    const { app, servers } = await gateway([address]);
    const leaving = new AbortController();
    const { signal } = leaving;
    for (let stream = 0; stream < STREAMS_MAX; stream++) assert.equal((await fetch(`${urlOf(app)}/stream`, { signal })).status, 200);
    const arriving = once(server, 'request');
    const refused = fetch(`${urlOf(app)}/stream`, { signal });
    await arriving;
    const gone = once(received.at(-1)?.socket as never, 'close');
    assert.equal(await codeOf(await refused), 'TOO_MANY_CONNECTIONS');
    await gone;
    assert.equal(servers.list()[0]?.open, STREAMS_MAX);
    leaving.abort();
  });

  test('a stopping gateway cuts streams and WebSockets whose clients do not read', async (context) => {
    const fill = (writable: Writable, part: string | Buffer) => {
      const write = () => {
        while (writable.write(part));
      };
      writable.on('error', () => {}).on('drain', write);
      write();
    };
    const { address, server } = await behind((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      fill(response, `data: ${'x'.repeat(64 * 1024)}\n\n`);
    });
    server.on('upgrade', (_request, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
      // Pings without content: the shortest frames.
      fill(socket, Buffer.alloc(64 * 1024, Buffer.from([0x89, 0])));
    });
    const { app, streams, tunnels } = await gateway([address]);
    for (const lines of [[], UPGRADE]) {
      const accepted = once(app.server, 'connection') as Promise<[Socket]>;
      const client = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
      context.after(() => client.destroy());
      client.write(`GET /stream HTTP/1.1\r\n${['Host: gateway', ...lines].join('\r\n')}\r\n\r\n`);
      const [socket] = await accepted;
      let written = 0;
      await until(() => {
        const isStuck = socket.writableLength > 0 && socket.bytesWritten === written;
        written = socket.bytesWritten;
        return isStuck && tunnels.size === 1;
      }, 'the client takes no more bytes');
      context.mock.timers.enable({ apis: ['setTimeout'] });
      for (const tunnel of tunnels) tunnel.end('the gateway stops');
      assert.equal(socket.destroyed, false);
      context.mock.timers.tick(2_000);
      context.mock.timers.reset();
      await until(() => tunnels.size === 0 && streams.size === 0, 'the connection is closed');
    }
  });

  test('a gateway behind a gateway is refused, and one that does not share the secret', async () => {
    const wrong = createServer((_request, response) =>
      respond(response, { data: [{ role: 'gateway', state: 'available' }], hasMore: false, nextCursor: null }),
    ).listen(0, '127.0.0.1');
    const strange = createServer((_request, response) => {
      response.statusCode = 401;
      respond(response, { detail: 'No gateway of this installation made it.', remedy: 'Let them share.' });
    }).listen(0, '127.0.0.1');
    await Promise.all([once(wrong, 'listening'), once(strange, 'listening')]);
    closing.push(async () => {
      for (const server of [wrong, strange]) {
        server.closeAllConnections();
        server.close();
      }
    });
    const { servers } = await gateway([wrong, strange].map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`));
    assert.deepEqual(
      servers.list().map(({ state, failure }) => [state, failure]),
      [
        ['unavailable', 'It is a gateway itself. Name the servers behind it.'],
        ['unavailable', 'It responds with 401: No gateway of this installation made it. Let them share.'],
      ],
    );
  });
});
