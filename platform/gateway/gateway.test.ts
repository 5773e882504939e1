import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { ENDPOINTS, type Endpoint } from '@millrace/contracts';
import { bodyDigestOf } from '@millrace/http';
import type { FastifyInstance } from 'fastify';
import { kim } from './testing/kim.ts';
import { behind, closeAll, closing, codeOf, gateway, HEALTH, respond, stuck, UPGRADE, urlOf } from './testing/servers-behind.ts';
import { VOUCH_HEADER, VouchReader } from './vouching.ts';

describe('servers behind a gateway', () => {
  afterEach(closeAll);

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

  test('a server gets the JSON that the client has sent, also null and a string', async () => {
    const bodies: string[] = [];
    const { address } = await behind((request, response) => {
      let text = '';
      request.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      request.once('end', () => {
        bodies.push(text);
        respond(response, {});
      });
    });
    const { app } = await gateway([address]);
    const post = (type: string | null, body: string | null) =>
      fetch(`${urlOf(app)}/orders`, { method: 'POST', headers: type === null ? {} : { 'content-type': type }, body });
    for (const body of ['null', '"abc"', '{"a":[1]}', '0', 'false']) await post('application/json', body);
    await post('text/plain', 'plain');
    await post(null, null);
    assert.deepEqual(bodies, ['null', '"abc"', '{"a":[1]}', '0', 'false', 'plain', '']);
  });

  test('a response that the gateway changes has the headers of the server; HEAD has them, too', async () => {
    const { address } = await behind((_request, response) => {
      response.setHeader('x-of-server', 'yes');
      respond(response, { name: 'world', tcpPort: 1 });
    });
    const { app } = await gateway([address]);
    const got = await fetch(`${urlOf(app)}/rewritten`);
    assert.deepEqual([got.status, got.headers.get('x-of-server'), await got.json()], [200, 'yes', { name: 'world', tcpPort: 7 }]);
    const head = await fetch(`${urlOf(app)}/rewritten`, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.get('x-of-server'), head.headers.get('content-length')], [200, 'yes', null]);
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
    // Before the requests: it refuses what was signed before its start, by the second.
    const reader = new VouchReader('secret', Date.now, address);
    const targets = ['http://x/api/v1/socket', "/api/v1/socket?name='a'|[b]", '//x/y', '/a/../b?c=%00'];
    for (const target of targets) assert.match(await requestWebSocket(app, target), / 101 /, target);
    assert.deepEqual(
      received.map(({ url }) => url),
      ['/api/v1/socket', ...targets.slice(1)],
    );
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
    const reader = new VouchReader('secret', Date.now, address);
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
    const vouched = reader.read(request as IncomingMessage);
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
