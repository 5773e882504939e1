import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createClient } from '../client.ts';

const DEADLINE_MS = 5_000;

/** A server of event streams, and a client of it whose retries come late. */
async function open(respond: RequestListener) {
  const server = createServer(respond).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = createClient({ url, transport: 'sse', timeoutMs: 1_000, onError: () => {} });
  const close = () => {
    client.close();
    server.closeAllConnections();
    server.close();
  };
  return { client, close };
}

/** Resolves with the value that is given, or rejects after the deadline. */
function eventually<T>(what: string) {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const late = setTimeout(() => reject(new Error(`no ${what} within ${DEADLINE_MS} ms`)), DEADLINE_MS);
  return { promise: promise.finally(() => clearTimeout(late)), resolve };
}

test('an error response that does not end is a lost connection after the timeout', async () => {
  const waiting = eventually<void>('retry');
  let responses = 0;
  const { client, close } = await open((_request, response) => {
    responses++;
    response.writeHead(503, { 'content-type': 'application/problem+json' }).write('{');
  });
  client.watch(['tickers'], () => {}, { onStatus: (status) => status === 'waiting' && responses > 0 && waiting.resolve() });
  try {
    await waiting.promise;
  } finally {
    close();
  }
});

test('the response of a stream that the server has ended is closed', async () => {
  const closed = eventually<void>('close');
  const { client, close } = await open((request, response) => {
    request.socket.on('close', () => closed.resolve());
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('event: bye\ndata: {"reason":"the server stops"}\n\n');
  });
  client.watch(['tickers'], () => {});
  try {
    await closed.promise;
  } finally {
    close();
  }
});

test('channels with positions of different ages share one response, and each gets the events after its own', async () => {
  const done = eventually<void>('message');
  const requests: (string | undefined)[] = [];
  const { client, close } = await open((request, response) => {
    requests.push(request.headers['last-event-id'] as string | undefined);
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('id: e-1\nevent: ready\ndata: {}\n\n');
    const send = (event: string, channel: string, position: string, data: object) =>
      response.write(`id: ${position}\nevent: ${event}\ndata: ${JSON.stringify({ channel, data })}\n\n`);
    for (const [channel, to] of [
      ['tickers', 'e-3'],
      ['sources', 'e-6'],
    ] as const)
      send('gap', channel, 'e-1', { channel, from: 'e-1', to, reason: 'evicted' });
    for (const [channel, position] of [
      ['tickers', 'e-4'],
      ['world', 'e-5'],
      ['tickers', 'e-6'],
      ['sources', 'e-7'],
      ['world', 'e-8'],
    ] as const)
      send('x', channel, position, {});
  });
  const received: string[] = [];
  const from = { world: 'e-1', tickers: 'e-5', sources: 'e-4' };
  client.watch(
    ['world', 'tickers', 'sources'],
    ({ channel, event, data, position }) => {
      received.push([channel, position, ...(event === 'gap' ? [data.from, data.to] : [])].join(' '));
      if (position === 'e-8') done.resolve();
    },
    { from },
  );
  try {
    await done.promise;
    assert.deepEqual(requests, ['e-1']);
    assert.deepEqual(received, ['sources e-4 e-4 e-6', 'world e-5', 'tickers e-6', 'sources e-7', 'world e-8']);
  } finally {
    close();
  }
});
