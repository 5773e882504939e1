import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { UserError } from '@millrace/base/user-error';
import { swarm } from './swarm.ts';

test('the address of the server may end with a slash', async (context) => {
  const targets: (string | undefined)[] = [];
  const server = createServer(({ url }, response) => {
    targets.push(url);
    response.writeHead(503).end();
  }).listen(0, '127.0.0.1');
  context.after(() => server.close());
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  await assert.rejects(swarm({ players: 1, seconds: 1, server: url, moves: 1, processes: 1 }), UserError);
  assert.deepEqual(targets, ['/api/v1/world']);
});
