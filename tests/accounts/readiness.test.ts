import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Health } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { WITHOUT_WORLD } from '../server.ts';
import { startGuarded } from './visitor.ts';

test('fault 22: a server whose database hangs is not ready, with the reason and the time, and recovers with it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-readiness-'));
  const { server } = await startGuarded(folder, WITHOUT_WORLD);
  const ask = async () => {
    const response = await fetch(`${server.url}/health/ready`);
    return { status: response.status, health: (await response.json()) as Health };
  };
  const healthWith = async (status: number) => {
    let answer = await ask();
    await until(async () => {
      answer = await ask();
      return answer.status === status;
    }, `the server answers ${status}`);
    return answer.health;
  };
  assert.deepEqual(
    ((await ask()).health as Health).checks.filter(({ isRequired }) => isRequired).map(({ name, status }) => [name, status]),
    [['database', 'ok']],
  );
  const before = Date.now();
  const giveBack = process.env.TEST_POSTGRES ? await server.stopDatabase() : hang(databaseOf(server.child.pid ?? 0));
  const { status, checks } = await healthWith(503);
  assert.equal(status, 'failing');
  const [database] = checks;
  assert.ok(database && Date.parse(String(database.statusChangedAt)) >= before && database.reason, JSON.stringify(database));
  await giveBack();
  const { checks: again } = await healthWith(200);
  assert.deepEqual([again[0]?.status, again[0]?.reason], ['ok', null]);
  assert.equal(await server.stop(), 0);
  rmSync(folder, { recursive: true, force: true });
});

/** The process of the embedded database. */
function databaseOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  return children.find((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('database-process')) as number;
}

function hang(pid: number): () => Promise<void> {
  process.kill(pid, 'SIGSTOP');
  return async () => void process.kill(pid, 'SIGCONT');
}
