import assert from 'node:assert/strict';
import { createHash, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Random } from '@millrace/base/random';
import { tcp } from '@millrace/client/tcp';
import { WorldClient } from '@millrace/client/world';
import type {
  AccessToken,
  Account,
  AuditEntry,
  AuditVerification,
  Connections,
  PlayerToken,
  Problem,
  Usage,
  World,
} from '@millrace/contracts';
import { until } from '@millrace/testing';
import { WebSocket } from 'ws';
import { type Guarded, startGuarded, type Visitor } from './visitor.ts';

/*
 * Open streams belong to a user: they are counted, visible to operators, and end with their credential. Actions of operators are audited.
 */

const cookiesOf = (visitor: Visitor) => [...visitor.jar].map(([name, value]) => `${name}=${value}`).join('; ');

describe('open streams', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-open-'));
  let guarded: Guarded;
  before(async () => {
    guarded = await startGuarded(folder);
  });
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The text of an event stream until its end. */
  async function streamed(headers: Record<string, string>): Promise<{ begun: Promise<void>; text: Promise<string> }> {
    const response = await fetch(`${guarded.server.url}/api/v1/stream?channels=tickers`, { headers });
    assert.equal(response.status, 200);
    return { begun: Promise.resolve(), text: response.text() };
  }

  async function connected(headers: Record<string, string>): Promise<WebSocket> {
    const socket = new WebSocket(`${guarded.server.url.replace('http', 'ws')}/api/v1/socket`, { headers });
    await once(socket, 'open');
    return socket;
  }

  let requests = 0;
  async function asked(socket: WebSocket, message: object): Promise<{ ok: boolean; error?: { code: string } }> {
    const id = ++requests;
    const answer = new Promise<{ ok: boolean; error?: { code: string } }>((resolve) => {
      const listen = (raw: unknown) => {
        const told = JSON.parse(String(raw));
        if (told.id !== id) return;
        socket.off('message', listen);
        resolve(told);
      };
      socket.on('message', listen);
    });
    socket.send(JSON.stringify({ id, ...message }));
    return answer;
  }

  async function noStreamIsOpen(): Promise<void> {
    let open: Connections['nodes'][number] | undefined;
    await until(async () => {
      [open] = (await guarded.owner.get<Connections>('GET', '/connections')).nodes;
      return open?.streams === 0;
    }, 'no stream is open').catch(() => assert.deepEqual(open?.transports, {}));
    const metrics = await (await guarded.owner.ask('GET', '/metrics')).text();
    assert.match(metrics, /^millrace_stream_readers 0$/m);
  }

  test('are listed for operators by user and transport, and for each user with its limits', async () => {
    const member = await guarded.member('trader');
    const stream = await streamed({ cookie: cookiesOf(member) });
    const sockets = [await connected({ cookie: cookiesOf(member) }), await connected({ cookie: cookiesOf(member) })];
    const { user } = await member.get<Account>('GET', '/account');
    const { nodes, users } = await guarded.owner.get<Connections>('GET', '/connections');
    assert.deepEqual(
      users.filter((line) => line.user === user).map(({ transport, streams }) => [transport, streams]),
      [
        ['websocket', 2],
        ['sse', 1],
      ],
    );
    assert.equal(nodes[0]?.streams, 3);
    const usage = await member.get<Usage>('GET', '/account/usage');
    assert.deepEqual(usage.streams, { open: 3, limit: 2_000 });
    assert.deepEqual(usage.keys, { made: 0, limit: 500 });
    assert.deepEqual([usage.requests.perSecond, usage.requests.burst], [1_000, 4_000]);
    // The request itself costs one token, which returns a millisecond later.
    assert.ok(usage.requests.remaining >= 3_990 && usage.requests.remaining <= 4_000, `${usage.requests.remaining}`);
    for (const socket of sockets) socket.close();
    await member.ask('POST', '/api/v1/auth/sign-out');
    await stream.text;
    assert.equal(await member.refusal('GET', '/connections'), 'UNAUTHENTICATED');
  });

  test('are not counted for clients that disconnect while their credential is checked', async () => {
    const { hostname, port } = new URL(guarded.server.url);
    const upgrade = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
    const query = encodeURIComponent('subscription { events(channels: ["tickers"]) { channel } }');
    const requests = [
      'GET /api/v1/stream?channels=tickers HTTP/1.1',
      `GET /api/v1/socket HTTP/1.1\r\n${upgrade}`,
      `GET /api/v1/graphql?query=${query} HTTP/1.1\r\nAccept: text/event-stream`,
      `GET /api/v1/graphql HTTP/1.1\r\n${upgrade}\r\nSec-WebSocket-Protocol: graphql-transport-ws`,
    ];
    const keys = await Promise.all(requests.map(async (_, index) => (await guarded.owner.key(`gone ${index}`, ['market:read'])).key));
    // GraphQL is loaded with its first request.
    await guarded.owner.ask('POST', '/api/v1/graphql', { query: '{ __typename }' });
    // A check of a new key waits for the database, until its client has disconnected.
    const resume = guarded.server.suspendDatabase();
    for (const [index, request] of requests.entries()) {
      const socket = connect(Number(port), hostname);
      await once(socket, 'connect');
      socket.write(`${request}\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${keys[index]}\r\n\r\n`, () => socket.destroy());
      await once(socket, 'close');
    }
    resume();
    // Each of these checks ends after the one of the client that has disconnected.
    for (const key of keys) await guarded.visitor({ authorization: `Bearer ${key}` }).get('GET', '/instruments');
    await noStreamIsOpen();
  });

  test('are refused on a connection whose previous response is not finished', async () => {
    const { hostname, port } = new URL(guarded.server.url);
    const [known, unknown] = await Promise.all(['known', 'unknown'].map((name) => guarded.owner.key(name, ['market:read'])));
    await guarded.visitor({ authorization: `Bearer ${known?.key}` }).get('GET', '/instruments');
    // The check of a key that was not used yet waits for the database.
    const resume = guarded.server.suspendDatabase();
    const socket = connect(Number(port), hostname).setEncoding('latin1');
    let received = '';
    socket.on('data', (text) => {
      received += text;
    });
    const requests = [
      ['/instruments', unknown],
      ['/stream?channels=tickers', known],
    ] as const;
    for (const [path, key] of requests)
      socket.write(`GET /api/v1${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${key?.key}\r\n\r\n`);
    // A request on another connection, which the server gets after them.
    await guarded.visitor({ authorization: `Bearer ${known?.key}` }).get('GET', '/instruments');
    resume();
    await until(() => received.includes('Use a connection of its own for each stream.'), 'the stream is refused');
    assert.deepEqual(received.match(/HTTP\/1.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 400']);
    socket.destroy();
    await noStreamIsOpen();
  });

  test('are counted exactly while they are open, whenever their clients connect and disconnect', async () => {
    const { hostname, port } = new URL(guarded.server.url);
    const upgrade = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
    const query = 'subscription { events(channels: ["tickers"]) { channel } }';
    const body = (extensions = {}) => JSON.stringify({ query, extensions });
    const sha256Hash = createHash('sha256').update(query).digest('hex');
    const post = (text: string, accept: string) =>
      `POST /api/v1/graphql HTTP/1.1\r\nAccept: ${accept}\r\nContent-Type: application/json\r\nContent-Length: ${text.length}`;
    const persisted = body({ persistedQuery: { version: 1, sha256Hash } });
    /** Head and body of requests, and whether a stream is open as long as the client stays. */
    const kinds: readonly (readonly [string, string, boolean])[] = [
      ['GET /api/v1/stream?channels=tickers HTTP/1.1', '', true],
      [`GET /api/v1/socket HTTP/1.1\r\n${upgrade}`, '', true],
      [post(body(), 'text/event-stream'), body(), true],
      [post(persisted, 'text/event-stream'), persisted, true],
      [`GET /api/v1/graphql HTTP/1.1\r\n${upgrade}\r\nSec-WebSocket-Protocol: graphql-transport-ws`, '', true],
      [post(body(), 'application/json'), body(), false],
      [post(persisted, 'image/png'), persisted, false],
      ['GET /api/v1/stream?channels=no-such-channel HTTP/1.1', '', false],
    ];
    const { key } = await guarded.owner.key('many streams', ['market:read']);
    const seed = randomInt(2 ** 31);
    const random = new Random(seed);
    const next = (count: number) => Math.floor(random.next() * count);
    let open: Socket[] = [];
    for (let history = 0; history < 40; history++) {
      let expected = 0;
      const settled: Promise<unknown>[] = [];
      for (let count = next(12); count >= 0; count--) {
        const [head = '', text = '', isStream] = kinds[next(kinds.length)] ?? [];
        const credential = next(8) === 0 ? 'mr_wrong' : key;
        const socket = connect(Number(port), hostname).on('error', () => {});
        open.push(socket);
        const first = new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
        settled.push(first);
        socket.write(`${head}\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${credential}\r\n\r\n${text}`);
        const leaving = next(5);
        if (leaving === 0) socket.once('connect', () => setImmediate(() => socket.destroy()));
        else if (leaving === 1) setTimeout(() => socket.destroy(), next(6));
        else if (leaving === 2) void first.then(() => socket.destroy());
        else if (isStream && credential === key) expected++;
      }
      await Promise.all(settled);
      let counted: Connections['nodes'][number] | undefined;
      await until(async () => {
        [counted] = (await guarded.owner.get<Connections>('GET', '/connections')).nodes;
        return counted?.streams === expected;
      }, `seed ${seed}, history ${history}: ${expected} streams are open`).catch((error) =>
        assert.fail(`${error}: ${JSON.stringify(counted)}`),
      );
      for (const socket of open) socket.destroy();
      open = [];
    }
    await noStreamIsOpen();
  });

  test('are limited by the tier on every transport', async () => {
    const sockets = await Promise.all(Array.from({ length: 10 }, () => connected({})));
    for (const path of ['/api/v1/socket', '/api/v1/graphql']) {
      const socket = new WebSocket(
        `${guarded.server.url.replace('http', 'ws')}${path}`,
        path.endsWith('graphql') ? 'graphql-transport-ws' : [],
      );
      const failure = await new Promise<Error>((resolve) => socket.once('error', resolve));
      assert.match(failure.message, /503/, path);
    }
    sockets[0]?.close();
    await once(sockets[0] as WebSocket, 'close');
    (await connected({})).close();
    for (const socket of sockets) socket.close();
  });

  test('end with a reason when the user is disabled, the session ends or the key is revoked', async () => {
    const member = await guarded.member('viewer');
    const { user } = await member.get<Account>('GET', '/account');
    const { key, ...about } = await member.key('bot', ['market:read']);
    const byKey = await streamed({ 'x-api-key': key });
    const other = guarded.visitor();
    await other.signIn((await member.get<Account>('GET', '/account')).email ?? '');
    const otherSocket = await connected({ cookie: cookiesOf(other) });
    const socket = await connected({ cookie: cookiesOf(member) });
    const stream = await streamed({ cookie: cookiesOf(member) });

    const revoked = byKey.text;
    await member.get('DELETE', `/account/keys/${about.id}`);
    assert.match(await revoked, /event: bye\ndata: \{"reason":"not-any-more/);

    const ended = once(otherSocket, 'close');
    await other.get('POST', '/auth/sign-out');
    const [code, reason] = await ended;
    assert.deepEqual([code, String(reason).split(':')[0]], [1013, 'not-any-more']);
    // The first session continues.
    assert.equal((await asked(socket, { op: 'subscribe', channels: ['tickers'] })).ok, true);

    const closed = once(socket, 'close');
    await guarded.owner.get('PATCH', `/tenants/main/users/${user}`, { disabled: true });
    await closed;
    assert.match(await stream.text, /not-any-more/);
  });

  test('continue with a newer credential and its permissions', async () => {
    const socket = await connected({});
    assert.equal((await asked(socket, { op: 'subscribe', channels: ['sources'] })).error?.code, 'UNAUTHENTICATED');
    assert.equal((await asked(socket, { op: 'authenticate', token: 'nonsense' })).error?.code, 'INVALID_TOKEN');
    const { accessToken } = await guarded.owner.get<AccessToken>('POST', '/auth/token');
    assert.equal((await asked(socket, { op: 'authenticate', token: accessToken })).ok, true);
    assert.equal((await asked(socket, { op: 'subscribe', channels: ['sources', 'tickers'] })).ok, true);
    const { key } = await guarded.owner.key('less', ['market:read']);
    const told: string[] = [];
    socket.on('message', (raw) => told.push(JSON.parse(String(raw)).channel));
    assert.equal((await asked(socket, { op: 'authenticate', token: key })).ok, true);
    told.length = 0;
    // The channel of sources has an event per second, tickers one per trade.
    while (told.filter((channel) => channel === 'tickers').length < 30) await once(socket, 'message');
    assert.equal(told.includes('sources'), false);
    socket.close();
  });

  test('actions of operators are entries of the audit log, which can be exported and verified', async () => {
    await guarded.owner.get('POST', '/sources/simulator/restart');
    const operated = async () =>
      (await guarded.owner.get<AuditEntry[]>('GET', '/tenants/main/audit')).filter(({ action }) => action === 'operated');
    let lines = await operated();
    while (lines.length === 0) lines = await operated();
    assert.deepEqual(
      [lines[0]?.actor, lines[0]?.subject, lines[0]?.detail],
      ['Owner', 'POST /api/v1/sources/:id/restart', { params: { id: 'simulator' }, body: {} }],
    );
    const verdict = await guarded.owner.get<AuditVerification>('POST', '/tenants/main/audit/verify');
    assert.deepEqual(verdict.firstInvalid, null);
    const exported = await (await guarded.owner.ask('GET', '/api/v1/tenants/main/audit/export')).text();
    const documents = exported
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as AuditEntry & { tenant: string });
    // One more entry: the export is audited too.
    assert.equal(documents.length, verdict.entries + 1);
    assert.deepEqual(documents[verdict.entries - 1]?.hash, verdict.hash);
    assert.equal(await (await guarded.member('viewer')).refusal('GET', '/tenants/main/audit/export'), 'FORBIDDEN');
  });

  test('fault 27: the number of players of a user is limited, and the error lists them', async () => {
    const member = await guarded.member('trader');
    const play = (body: object) => member.ask('POST', '/api/v1/world/players', body);
    const made = await Promise.all(Array.from({ length: 12 }, (_none, index) => play({ name: `Kim ${index}` })));
    assert.equal(made.filter(({ status }) => status === 201).length, 10);
    const [{ code, detail, remedy }] = (await Promise.all(made.filter(({ status }) => status === 409).map((one) => one.json()))) as [
      Problem,
    ];
    assert.equal(code, 'TOO_MANY_PLAYERS');
    assert.match(remedy, /playersPerUser/);
    const [player = ''] = /p-\w+/.exec(detail) ?? [];
    assert.equal(((await (await play({ name: 'Kim again', player })).json()) as PlayerToken).player, player);
    const stranger = await guarded.member('trader');
    assert.equal(await stranger.refusal('POST', '/world/players', { name: 'Kim', player }), 'UNKNOWN_PLAYER');
  });

  test('players leave the world when their user loses the permission, and cannot join again', async () => {
    const member = await guarded.member('trader');
    const { user } = await member.get<Account>('GET', '/account');
    const { tcpPort } = await member.get<World>('GET', '/world');
    const { token } = await member.get<PlayerToken>('POST', '/world/players', { name: 'Kim' });
    const play = () => {
      const { promise: ended, resolve: onEnd } = Promise.withResolvers<string>();
      return { client: new WorldClient({ connect: tcp({ host: '127.0.0.1', port: tcpPort }), token, onEnd }), ended };
    };
    const kim = play();
    assert.deepEqual(await kim.client.join(), { ok: true });
    // Signing out of the console does not leave the world.
    await member.ask('POST', '/api/v1/auth/sign-out');
    assert.deepEqual(await kim.client.say('hello'), { ok: true });
    await guarded.owner.get('PATCH', `/tenants/main/users/${user}`, { role: 'viewer' });
    assert.equal(await kim.ended, 'FORBIDDEN');
    assert.equal(await play().ended, 'FORBIDDEN');
    await guarded.owner.get('PATCH', `/tenants/main/users/${user}`, { role: 'trader' });
    const again = play();
    assert.deepEqual(await again.client.join(), { ok: true });
    await guarded.owner.get('PATCH', `/tenants/main/users/${user}`, { disabled: true });
    assert.equal(await again.ended, 'FORBIDDEN');
  });

  test('a WebSocket over its rate limit is told to wait, then closed', async () => {
    const socket = await connected({});
    const codes = new Map<string, number>();
    socket.on('message', (raw) => {
      const { ok, error } = JSON.parse(String(raw));
      const code = ok ? 'ok' : error.code;
      codes.set(code, (codes.get(code) ?? 0) + 1);
    });
    const closed = once(socket, 'close');
    for (let id = 1; id <= 3_000; id++) socket.send(JSON.stringify({ op: 'ping', id }));
    const [code, reason] = await closed;
    assert.equal(code, 1008);
    assert.match(String(reason), /^too-many-requests/);
    assert.ok((codes.get('ok') ?? 0) >= 1_024, JSON.stringify([...codes]));
    assert.equal(codes.get('RATE_LIMITED'), 1_000);
  });

  test('a WebSocket cannot try credentials without limit', async () => {
    const socket = await connected({});
    const codes = new Set<string | undefined>();
    for (let count = 0; count < 80; count++) codes.add((await asked(socket, { op: 'authenticate', token: `mill_${count}` })).error?.code);
    assert.deepEqual([...codes], ['INVALID_TOKEN', 'RATE_LIMITED']);
    socket.close();
  });
});
