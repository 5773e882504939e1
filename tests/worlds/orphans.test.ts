import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { WorldHostStatus, WorldZoneStatus } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { contentOf } from '../response.ts';
import { type ServerProcess, startServer } from '../server.ts';

const folder = mkdtempSync(join(tmpdir(), 'millrace-left-'));
const stopped: number[] = [];
let server: ServerProcess | null = null;

after(async () => {
  await server?.stop();
  // If the test failed before.
  for (const pid of stopped) if (isThere(pid)) process.kill(pid, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

function isThere(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test('fault 46: suspended zone hosts of a killed server do not prevent the next start', async () => {
  writeFileSync(
    join(folder, 'millrace.config.json'),
    JSON.stringify({ sources: [], worlds: { columns: 2, rows: 1, hosts: 2, standby: 0, leaseMs: 1_000 } }),
  );
  const start = () => startServer(['up', '--port', '0', '--data', join(folder, 'data')], { cwd: folder });
  const get = async <T>(path: string) => (await contentOf(await fetch(`${server?.url}/api/v1${path}`))) as T;
  server = await start();
  const hosts = await get<WorldHostStatus[]>('/world/hosts');
  assert.equal(hosts.length, 2);
  for (const { pid } of hosts) {
    process.kill(pid, 'SIGSTOP');
    stopped.push(pid);
  }
  const { child } = server;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  server = await start();
  assert.deepEqual(stopped.filter(isThere), [], 'they were ended');
  await until(async () => (await get<WorldZoneStatus[]>('/world/zones')).every(({ host }) => host !== null), 'every zone is open');
});
