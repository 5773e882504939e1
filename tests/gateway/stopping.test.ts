import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import type { WorldZoneStatus } from '@millrace/contracts';
import { until } from '@millrace/testing';
import WebSocket from 'ws';
import { startGuarded } from '../accounts/visitor.ts';
import { contentOf } from '../response.ts';
import { MAIN, startServer, WITHOUT_WORLD } from '../server.ts';

/** It cannot be suspended. */
const isPostgres = process.env.TEST_POSTGRES !== undefined;

test('fault 78: a stopping server completes requests, ends streams with a reason, and then closes its connections', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-stopping-'));
  const { server, owner, visitor } = await startGuarded(folder, WITHOUT_WORLD);
  const { key } = await owner.key('watch', ['market:read', 'account:read']);
  const headers = { 'x-api-key': key };
  const stream = await fetch(`${server.url}/api/v1/stream?channels=tickers`, { headers });
  const told = stream.text();
  const sockets = ['/api/v1/socket', '/api/v1/graphql'].map(
    (path) => new WebSocket(server.url.replace('http', 'ws') + path, path.endsWith('graphql') ? ['graphql-transport-ws'] : [], { headers }),
  );
  await Promise.all(sockets.map((socket) => once(socket, 'open')));
  const closed = Promise.all(sockets.map(async (socket) => (await once(socket, 'close')) as [number, Buffer]));
  // A request that is partly sent when the server is stopped. It needs a lookup in the tables.
  const { hostname, port } = new URL(server.url);
  const body = JSON.stringify({ email: 'nobody@example.com', password: 'certainly not this' });
  const request = connect(Number(port), hostname).setEncoding('utf8');
  const answered = text(request);
  request.write(
    `POST /api/v1/auth/sign-in HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n{`,
  );
  await visitor().ask('GET', '/health/live');
  const ended = server.stop();
  while (await isListening(hostname, Number(port)));
  request.write(body.slice(1));
  assert.match(await answered, /^HTTP\/1\.1 401 [\s\S]*\r\nconnection: close\r\n[\s\S]*INVALID_CREDENTIALS/i);
  assert.match(await told, /event: bye\ndata: \{"reason":"the server stops"\}\n\n$/);
  for (const [code] of await closed) assert.equal(code, 1001);
  assert.equal(await ended, 0);
  assert.doesNotMatch(server.errors(), /Cannot use a pool/);
  rmSync(folder, { recursive: true, force: true });
});

test('stops in order, and leaves no process, while its database does not respond', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-hung-'));
  const { server, visitor } = await startGuarded(folder, WITHOUT_WORLD);
  server.suspendDatabase();
  // One of its lookups waits for a response.
  const request = visitor().ask('POST', '/api/v1/auth/sign-in', { email: 'nobody@example.com', password: 'certainly not this' });
  await until(async () => (await fetch(`${server.url}/health/ready`)).status === 503 || isPostgres, 'the database is reported');
  assert.equal(await server.stop(), 0);
  assert.equal((await request).status, isPostgres ? 401 : 503);
  rmSync(folder, { recursive: true, force: true });
});

test('ends with code 0 when it is stopped while it waits for its database to start', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-starting-'));
  const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  const asked = once(silent, 'connection');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const env = {
    ...process.env,
    ...WITHOUT_WORLD,
    MILLRACE_CWD: folder,
    MILLRACE_DATABASE__URL: `postgresql://postgres@127.0.0.1:${port}/x`,
  };
  const child = spawn(process.execPath, [MAIN, 'up', '--port', '0', '--data', 'data'], { env, stdio: 'ignore' });
  const ended = once(child, 'exit');
  await asked;
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
  silent.close();
  rmSync(folder, { recursive: true, force: true });
});

for (const [name, signal, isForAll] of [
  ['to the server', 'SIGTERM', false],
  ['to all its processes, as systemd sends it', 'SIGTERM', true],
  ['to all its processes, as a terminal sends it', 'SIGINT', true],
] as const)
  test(`fault 39: a stop by ${signal} ${name} is no warning in the log`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-stopped-'));
    const server = await startServer(['up', '--port', '0', '--data', 'data'], { cwd: folder, ownGroup: true });
    const zones = async () =>
      ((await contentOf(await fetch(`${server.url}/api/v1/world/zones`))) as WorldZoneStatus[]).map(({ host }) => host);
    await until(async () => (await zones()).every((host) => host !== null), 'every zone has a host');
    const before = server.errors();
    const ended = once(server.child, 'exit');
    const pid = server.child.pid as number;
    process.kill(isForAll ? -pid : pid, signal);
    assert.deepEqual(await ended, [0, null]);
    assert.equal(server.errors().slice(before.length), '');
    rmSync(folder, { recursive: true, force: true });
  });

async function isListening(host: string, port: number): Promise<boolean> {
  const socket = connect(port, host);
  const isOpen = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
  });
  socket.destroy();
  return isOpen;
}
