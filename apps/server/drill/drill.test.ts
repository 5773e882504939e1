import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '@millrace/testing';
import { victims } from './drill.ts';

const MAIN = join(import.meta.dirname, '..', 'main.ts');

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

test('an interrupted drill stops its server, deletes its folder and fails', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-drills-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const child = spawn(process.execPath, [MAIN, 'drill', '--players', '2', '--kills', '1', '--data', join(folder, 'data')], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  context.after(() => child.kill('SIGKILL'));
  const errors = child.stderr.setEncoding('utf8').toArray();
  const exited = once(child, 'exit');
  const world = () => readdirSync(folder).find((name) => name.startsWith('millrace-drill-'));
  await until(() => existsSync(join(folder, world() ?? '', 'data', 'worlds')), 'the world of the drill has data');
  child.kill('SIGINT');
  const [code] = await exited;
  assert.deepEqual([code, world()], [1, undefined]);
  assert.match((await errors).join(''), /the drill was interrupted by SIGINT\n {2}It has stored no report/);
});
