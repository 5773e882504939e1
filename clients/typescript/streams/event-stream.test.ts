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
