import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Problem, SnapshotStatus, WorldZoneStatus } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { contentOf } from '../response.ts';
import { startServer } from '../server.ts';

const SMALL = { MILLRACE_WORLDS__COLUMNS: '1', MILLRACE_WORLDS__ROWS: '1', MILLRACE_SOURCES: '[]' };

test('a snapshot that could not be stored is reported as failed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-snapshot-fails-'));
  const server = await startServer(['up', '--port', '0', '--data', 'data'], { cwd: folder, env: SMALL });
  const zones = `${server.url}/api/v1/world/zones`;
  const take = (store: string) =>
    fetch(`${zones}/0-0/snapshots`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ store }),
    });
  await until(
    async () => ((await contentOf(await fetch(zones))) as WorldZoneStatus[]).every(({ host }) => host !== null),
    'the zone has a host',
  );
  // The folder is a file, so that nobody can write to it, not even root.
  const cold = join(folder, 'data', 'worlds', 'snapshots', 'cold');
  rmSync(cold, { recursive: true, force: true });
  mkdirSync(dirname(cold), { recursive: true });
  writeFileSync(cold, '');
  const refused = await take('cold');
  const problem = (await refused.json()) as Problem;
  assert.deepEqual([refused.status, problem.code], [503, 'SNAPSHOT_FAILED']);
  assert.match(problem.detail, /^No cold snapshot of zone 0-0 was stored: /);
  rmSync(cold);
  const taken = await take('cold');
  assert.equal(taken.status, 201);
  assert.equal(((await taken.json()) as SnapshotStatus).store, 'cold');
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});
