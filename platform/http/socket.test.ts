import assert from 'node:assert/strict';
import { on, once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, before, describe, type TestContext, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import type { Principal } from '@millrace/contracts';
import { Hub } from '@millrace/streams';
import { until } from '@millrace/testing';
import { pack, unpack } from 'msgpackr';
import { WebSocket } from 'ws';
import { createSocketServer } from './socket.ts';
import { GUEST } from './testing/guest.ts';

/*
 * Requests that a WebSocket may send. tests/accounts/open-streams.test.ts tests a whole server.
 */

const MSGPACK = 'millrace.msgpack';
/** Maximum size of a message, bytes. */
const MESSAGE_BYTES_MAX = 64 * 1024;

interface Reply {
  readonly id: unknown;
  readonly ok: boolean;
  readonly op?: string;
  readonly error?: { readonly code: string; readonly detail: string };
}

describe('requests over a WebSocket', () => {
  /** Size of the state of the channel `large`, bytes. */
  const LARGE_BYTES = 300 * 1024;
  const hub = new Hub({
    clock: systemClock,
    epoch: 'e',
    historyEvents: 10,
    initial: (name) => (name === 'large' ? [{ event: 'now', key: '', data: 'x'.repeat(LARGE_BYTES) }] : []),
  });
  const failures: unknown[] = [];
  const sockets = createSocketServer(
    hub,
    (name) => ({ name, delivery: 'lossless' }),
    () => identified,
    (error) => failures.push(error),
  );
  let identified: Promise<Principal> = Promise.resolve(GUEST);
  /** Ends the newest connection with a reason. */
  let endNewest: (reason: string) => void = () => {};
  let server: Server;
  /** The newest connection at the server. */
  let newest: Duplex;
  before(async () => {
    server = createServer().on('upgrade', (raw, socket, head) => {
      newest = socket;
      const request = { raw, ip: '127.0.0.1', principal: GUEST } as never;
      endNewest = sockets.upgrade(request, { socket, head }, { close: () => {}, setPrincipal: () => {} });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    hub.close('end of the test');
    sockets.close();
    server.close();
  });

  /** Sends messages unchanged. @returns the replies, and the close code if the connection closed before all replies */
  async function send(
    protocol: string,
    messages: readonly (string | Uint8Array)[],
  ): Promise<{ replies: Reply[]; closedWith: number | null }> {
    const { port } = server.address() as AddressInfo;
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, protocol === '' ? [] : [protocol]);
    const ended = new AbortController();
    let closedWith: number | null = null;
    socket.once('close', (code: number) => {
      closedWith = code;
      ended.abort();
    });
    const incoming = on(socket, 'message', { signal: ended.signal });
    await once(socket, 'open');
    const replies: Reply[] = [];
    for (const message of messages) {
      socket.send(message);
      const next = await incoming.next().catch(() => null);
      if (!next) break;
      const raw = next.value?.[0] as Buffer;
      replies.push((protocol === MSGPACK ? unpack(raw) : JSON.parse(String(raw))) as Reply);
    }
    socket.terminate();
    return { replies, closedWith };
  }

  /** MessagePack of nested arrays. */
  const nested = (levels: number) => Buffer.concat([Buffer.alloc(levels, 0x91), Buffer.from([0xc0])]);
  /** A MessagePack map of names and encoded values. */
  const mapOf = (values: Readonly<Record<string, Uint8Array>>) =>
    Buffer.concat([
      Buffer.from([0x80 | Object.keys(values).length]),
      ...Object.entries(values).flatMap(([name, value]) => [pack(name), value]),
    ]);
  const ping = { op: 'ping', id: 'after' };

  test('fault 84: an op that is not text is refused, and causes no failure', async () => {
    const deep = `${'['.repeat(30_000)}${']'.repeat(30_000)}`;
    const ops = ['{"toString":1,"valueOf":1}', '{"toString":null}', deep, '[]', '1', 'null', '"x"', '{}', '[{"toString":1}]'];
    const { replies, closedWith } = await send('', [...ops.map((op) => `{"id":7,"op":${op}}`), JSON.stringify(ping)]);
    assert.equal(closedWith, null);
    for (const { id, ok, error } of replies.slice(0, -1)) assert.deepEqual([id, ok, error?.code], [7, false, 'BAD_REQUEST']);
    assert.equal(replies.at(-1)?.op, 'pong');
    assert.deepEqual(failures, []);
  });

  test('fault 84: MessagePack that is too deep, or has values that JSON lacks, is refused, and the connection stays open', async () => {
    const messages = [
      nested(MESSAGE_BYTES_MAX - 1),
      mapOf({ id: pack(7), op: nested(50_000) }),
      mapOf({ id: pack(7), op: nested(2_000) }),
      // Extensions of msgpackr: a date, a regular expression, a set, a typed array, an error, a cycle.
      pack({ id: 7, op: new Date(Number.NaN) }),
      pack({ id: 7, op: /(a+)+$/ }),
      pack({ id: 7, op: new Set([1]) }),
      pack({ id: 7, op: 2n ** 63n }),
      Buffer.from('83a26964 07a26f70 d6690000000191 d67000000001'.replaceAll(' ', ''), 'hex'),
      // Lengths beyond the end of the message: an array, a map, a text and bytes with 2³² - 1 elements.
      ...[0xdd, 0xdf, 0xdb, 0xc6].map((token) => Buffer.from([token, 0xff, 0xff, 0xff, 0xff])),
      Buffer.from([]),
      // The number 64, not the record that another message defined under this id.
      Buffer.from([0x40]),
    ];
    const record = Buffer.from('d4724092a26964a26f7007a470696e67', 'hex');
    assert.equal((await send(MSGPACK, [record])).replies[0]?.op, 'pong');
    const { replies, closedWith } = await send(MSGPACK, [...messages, pack(ping)]);
    assert.equal(closedWith, null);
    assert.equal(replies.length, messages.length + 1);
    for (const [index, { ok, error }] of replies.slice(0, -1).entries())
      assert.deepEqual([ok, error?.code], [false, 'BAD_REQUEST'], `message ${index}`);
    assert.equal(replies.at(-1)?.op, 'pong');
    assert.deepEqual(failures, []);
  });

  test('a subscription that waits for a credential is dropped when the client disconnects', async () => {
    const { port } = server.address() as AddressInfo;
    let finish: (principal: Principal) => void = () => {};
    identified = new Promise<Principal>((resolve) => {
      finish = resolve;
    });
    const upgraded = once(server, 'upgrade');
    const client = new WebSocket(`ws://127.0.0.1:${port}`);
    const [, socket] = (await upgraded) as [unknown, Duplex];
    await once(client, 'open');
    client.send(JSON.stringify({ op: 'authenticate', id: 1, token: 'token' }));
    client.send(JSON.stringify({ op: 'subscribe', id: 2, channels: ['a'] }));
    const closed = once(socket, 'close');
    client.close();
    await closed;
    finish(GUEST);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(hub.stats().readers, 0);
    assert.deepEqual(failures, []);
    identified = Promise.resolve(GUEST);
  });

  /** A client without a library, which does nothing by itself: it does not answer a close frame, and does not close its side. */
  async function connectedByHand(context: TestContext): Promise<{ client: Socket; socket: Socket }> {
    const upgraded = once(server, 'upgrade');
    const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
    context.after(() => client.destroy());
    const lines = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
    client.write(`GET / HTTP/1.1\r\nHost: x\r\n${lines.join('\r\n')}\r\n\r\n`);
    const [, socket] = (await upgraded) as [unknown, Socket];
    await once(client, 'data');
    return { client, socket };
  }

  /** A frame of a client, with a mask of zeros. @param opcode 1 for text, 8 for close */
  const frameOf = (opcode: number, content: string | Buffer) => {
    const payload = Buffer.from(content);
    return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
  };

  test('a connection that was ended takes no more requests, and is cut when its client does not close it', async (context) => {
    const { client, socket } = await connectedByHand(context);
    context.mock.timers.enable({ apis: ['setTimeout'] });
    endNewest('credential-expired');
    const received = once(socket, 'data');
    client.write(frameOf(1, JSON.stringify({ op: 'subscribe', id: 1, channels: ['a'] })));
    await received;
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(hub.stats().readers, 0);
    assert.equal(socket.destroyed, false);
    context.mock.timers.tick(2_000);
    assert.equal(socket.destroyed, true);
    assert.deepEqual(failures, []);
  });

  test('nothing is sent after the close frame of a client', async (context) => {
    const { client, socket } = await connectedByHand(context);
    client.write(frameOf(1, JSON.stringify({ op: 'subscribe', id: 1, channels: ['a'] })));
    await until(() => hub.stats().readers === 1, 'it is subscribed');
    const received = once(socket, 'data');
    client.write(frameOf(8, Buffer.from([0x03, 0xe8])));
    await received;
    await until(() => socket.writableEnded, 'the close frame is answered');
    hub.publish('a', 'lossless', 'change', 'key', { n: 1 });
    hub.flush();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(socket.errored, null);
    client.end();
    await until(() => hub.stats().readers === 0, 'its subscription has ended');
  });

  test('a message of more than 64 KiB ends the connection before it is parsed', async () => {
    for (const protocol of ['', MSGPACK]) {
      const whole = `{"op":"ping","id":"${'x'.repeat(10)}"}`;
      const { replies, closedWith } = await send(protocol, [whole.padEnd(MESSAGE_BYTES_MAX + 1)]);
      assert.deepEqual([replies.length, closedWith], [0, 1009], protocol);
    }
    // A message of exactly 64 KiB is accepted.
    const { replies } = await send('', [JSON.stringify(ping).padEnd(MESSAGE_BYTES_MAX)]);
    assert.equal(replies[0]?.op, 'pong');
  });

  test('a connection has at most 1,024 channels; one that it has counts once', async () => {
    const subscribe = (from: number, count: number) =>
      JSON.stringify({ id: from, op: 'subscribe', channels: Array.from({ length: count }, (_none, index) => `c${from + index}`) });
    const all = [0, 256, 512, 768].map((from) => subscribe(from, 256));
    const { replies } = await send('', [...all, subscribe(5, 256), subscribe(1_024, 1)]);
    assert.deepEqual(
      replies.map(({ ok }) => ok),
      [true, true, true, true, true, false],
    );
    assert.match(replies.at(-1)?.error?.detail ?? '', /1025 channels exceed/);
  });

  test('the refusal of an invalid request says what is wrong, and repeats no token', async () => {
    const messages = [
      { id: 1, op: 'subscribe', channels: Array.from({ length: 257 }, (_none, index) => `c${index}`) },
      { id: 2, op: 'subscribe', channels: ['a/b'], from: { 'a/b': 'x'.repeat(1_000) } },
      { id: 3, op: 'subscribe', channels: 'tickers' },
      { id: 4, op: 'authenticate', token: 7 },
      { id: 5, op: 'subscribe' },
      { id: 6, op: 'publish' },
    ];
    const { replies } = await send(
      '',
      messages.map((message) => JSON.stringify(message)),
    );
    assert.deepEqual(
      replies.map(({ id, error }) => `${id} ${error?.code} ${error?.detail}`),
      [
        '1 BAD_REQUEST "subscribe": "channels" has 257 channels.',
        `2 BAD_REQUEST "subscribe": "from" has "${'x'.repeat(64)}…" for "a/b", which is not a valid position.`,
        '3 BAD_REQUEST "subscribe": "channels" must be array, not "tickers".',
        '4 BAD_REQUEST "authenticate": "token" must be string.',
        '5 BAD_REQUEST "subscribe" must have required properties channels.',
        '6 BAD_REQUEST Unknown op "publish".',
      ],
    );
  });

  test('requests of a client that does not read wait, so that their states take a bounded memory; none is lost', async (context) => {
    const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await once(socket, 'open');
    context.after(() => socket.terminate());
    let unsentMost = 0;
    const write = newest.write.bind(newest) as (bytes: Buffer) => boolean;
    context.mock.method(newest, 'write', (bytes: Buffer) => {
      const isTaken = write(bytes);
      unsentMost = Math.max(unsentMost, newest.writableLength);
      return isTaken;
    });
    socket.pause();
    const ids = Array.from({ length: 200 }, (_none, index) => index);
    for (const id of ids) socket.send(JSON.stringify({ id, op: 'subscribe', channels: ['large'] }));
    await until(() => newest.isPaused(), 'the server receives no more requests');
    const replied: unknown[] = [];
    let states = 0;
    socket.on('message', (raw) => {
      const message = JSON.parse(String(raw)) as Partial<Reply>;
      if (message.ok === undefined) states++;
      else replied.push(message.id);
    });
    socket.resume();
    await until(() => states === ids.length, 'all states');
    assert.deepEqual(replied, ids);
    assert.ok(unsentMost < 1024 * 1024 + 2 * LARGE_BYTES, `${unsentMost} bytes`);
  });

  test('a request has at most 256 channels, and 64 requests wait while a credential is checked', async () => {
    const channels = (count: number) =>
      JSON.stringify({ op: 'subscribe', id: 1, channels: Array.from({ length: count }, (_none, index) => `c${index}`) });
    const { replies } = await send('', [channels(257), channels(256)]);
    assert.deepEqual(
      replies.map(({ ok }) => ok),
      [false, true],
    );
    const { promise, resolve } = Promise.withResolvers<Principal>();
    identified = promise;
    const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const incoming = on(socket, 'message');
    await once(socket, 'open');
    socket.send(JSON.stringify({ op: 'authenticate', id: 'a', token: 't' }));
    for (let id = 1; id <= 65; id++) socket.send(JSON.stringify({ op: 'ping', id }));
    const next = async () => JSON.parse(String((await incoming.next()).value?.[0])) as Reply;
    const first = await next();
    assert.deepEqual([first.id, first.error?.code], [65, 'RATE_LIMITED']);
    resolve(GUEST);
    assert.deepEqual([(await next()).id, (await next()).id], ['a', 1]);
    socket.terminate();
  });
});
