import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import fastify from 'fastify';
import { until } from '../testing/until.ts';
import { UnfinishedRequests } from './unfinished.ts';

describe('requests that are not finished', () => {
  const server = createServer();
  const unfinished = new UnfinishedRequests();
  const responses: ServerResponse[] = [];
  let socket: Socket;
  server.on('request', (request, response) => {
    unfinished.begun(request, response);
    responses.push(response);
  });
  beforeEach(async () => {
    responses.length = 0;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
  });
  afterEach(() => {
    socket.destroy();
    server.close();
  });
  const get = async (...paths: string[]) => {
    const count = responses.length + paths.length;
    socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`).join(''));
    await until(() => responses.length === count, 'the server has the requests');
  };

  test('are waited for', async () => {
    await get('/slow');
    assert.equal(await unfinished.finished(() => 0, 0), false);
    const finished = unfinished.finished(() => 0, 60_000);
    responses[0]?.end('there');
    assert.equal(await finished, true);
  });

  test('are waited for when a stream was requested after them on the same connection', async () => {
    await get('/slow', '/stream');
    responses[1]?.write('an event');
    assert.equal(await unfinished.finished(() => 1, 0), false);
    const finished = unfinished.finished(() => 1, 60_000);
    responses[0]?.end('there');
    assert.equal(await finished, true);
  });

  test('are those of connections: requests within this process are not kept', async () => {
    const app = fastify();
    const begun: ServerResponse[] = [];
    app.addHook('onRequest', async (request, reply) => {
      unfinished.begun(request.raw, reply.raw);
      begun.push(reply.raw);
    });
    app.get('/', (_request, reply) => void reply);
    void app.inject('/');
    await until(() => begun.length === 1, 'the request has begun');
    assert.equal(await unfinished.finished(() => 0, 0), true);
  });

  test('are dropped when their connection closes', async () => {
    await get('/slow', '/slow');
    socket.destroy();
    assert.equal(await unfinished.finished(() => 0, 60_000), true);
  });
});
