import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { afterEach, describe, test } from 'node:test';
import { until } from '@millrace/testing';
import { behind, closeAll, codeOf, gateway, STREAMS_MAX, UPGRADE, urlOf } from './testing/servers-behind.ts';

describe('streams through a gateway', () => {
  afterEach(closeAll);

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
});
