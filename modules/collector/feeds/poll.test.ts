import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { pollFeed } from './poll.ts';

test('fault 85: an endless document is refused at 8 MiB', async (context) => {
  let bytes = 0;
  const { promise: left, resolve: onLeft } = Promise.withResolvers<void>();
  const server = createServer((_request, response) => {
    const chunk = Buffer.alloc(64 * 1024, 'a');
    const endless = Readable.from(
      (function* () {
        for (;;) {
          bytes += chunk.length;
          yield chunk;
        }
      })(),
    );
    endless.on('error', () => {});
    response.on('close', () => {
      endless.destroy();
      onLeft();
    });
    endless.pipe(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { promise: outcome, resolve } = Promise.withResolvers<string[]>();
  const connection = pollFeed(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 60_000, {}).open({
    opened: () => {},
    caughtUp: assert.fail,
    frame: () => resolve(['frame']),
    refused: (...told: string[]) => resolve(told),
    closed: (reason: string) => resolve(['closed', reason]),
  } as never);
  context.after(() => {
    connection.close();
    server.closeAllConnections();
    server.close();
  });
  const [what, detail, beginning] = await outcome;
  assert.deepEqual([what, detail, beginning?.length], ['oversized', 'the response body exceeds 8388608 bytes', 512]);
  await left;
  assert.ok(bytes < 64 * 1024 * 1024, `${bytes} bytes were sent`);
});

test('fault 69: an unchanged document (304) is polled again and is no failure', async (context) => {
  let requests = 0;
  const server = createServer((_request, response) => {
    requests++;
    if (requests < 3) return response.writeHead(304).end();
    response.end('{"price":1}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const told: string[] = [];
  const { promise: frame, resolve, reject } = Promise.withResolvers<string>();
  const connection = pollFeed(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 1, {}).open({
    opened: () => told.push('opened'),
    heard: () => told.push('heard'),
    caughtUp: assert.fail,
    frame: resolve,
    closed: (reason: string) => reject(new Error(reason)),
  } as never);
  context.after(() => {
    connection.close();
    server.closeAllConnections();
    server.close();
  });
  assert.equal(await frame, '{"price":1}');
  assert.deepEqual(told, ['opened', 'heard', 'heard']);
});

test('a refused poll reports the time that the server asks to wait for', async (context) => {
  const server = createServer((_request, response) => response.writeHead(429, { 'retry-after': '120' }).end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { promise: told, resolve } = Promise.withResolvers<unknown[]>();
  const connection = pollFeed(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 1, {}).open({
    closed: (...told: unknown[]) => resolve(told),
  } as never);
  context.after(() => {
    connection.close();
    server.closeAllConnections();
    server.close();
  });
  assert.deepEqual(await told, ['the server answered 429', 120_000]);
});
