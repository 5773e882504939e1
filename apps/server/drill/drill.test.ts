import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { victims } from './drill.ts';

test('a drill whose killed host does not come back ends with an error', async (context) => {
  const hosts = [
    { id: 'zones-1', open: 20 },
    { id: 'zones-2', open: 0 },
  ];
  const server = createServer((_request, response) => response.end(JSON.stringify({ data: hosts }))).listen(0, '127.0.0.1');
  context.after(() => server.close());
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await assert.rejects(victims({ url }, false, 0), /after 0 s, the 20 zones are not evenly on 2 hosts \(zones-1: 20\)/);
  for (const host of hosts) host.open = 10;
  assert.equal((await victims({ url }, true, 0)).length, 2);
});
