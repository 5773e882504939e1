import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Health } from '@millrace/contracts';
import { IS_ON_KAFKA } from '../log-engine.ts';
import { contentOf } from '../response.ts';
import { type ServerProcess, startServer } from '../server.ts';

/*
 * A server on a full file system: a small tmpfs, which only root can mount.
 */

const MIB = 1024 * 1024;

describe('fault 19: a server on a full disk', {
  skip: process.getuid?.() === 0 && process.platform === 'linux' ? false : 'needs root on Linux',
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-full-disk-'));
  const ballast = join(folder, 'ballast');
  let server: ServerProcess;
  before(() => {
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'tmpfs', folder]);
    assert.equal(mounted.status, 0, String(mounted.stderr));
    const simulator = { id: 'simulator', type: 'simulator', instruments: ['BTC-USDT'], historyMinutes: 1 };
    const worlds = { columns: 1, rows: 1, hosts: 1, standby: 0, monsters: 0, items: 4 };
    const config = { sources: [simulator], worlds, alerts: { diskFreeMiB: 8, diskFreePercent: 1, unrecordedForMs: 1 } };
    writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify(config));
  });
  after(async () => {
    await server?.stop();
    spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  });
  const start = async () => {
    server = await startServer(['up', '--port', '0', '--data', 'data'], { cwd: folder });
  };
  const get = async <T>(path: string): Promise<T> => {
    const response = await fetch(`${server.url}${path}`, { signal: AbortSignal.timeout(10_000) });
    assert.equal(response.status, 200, path);
    return (await contentOf(response)) as T;
  };
  const until = async <T>(path: string, holds: (answer: T) => boolean): Promise<T> => {
    for (;;) {
      const answer = await get<T>(path);
      if (holds(answer)) return answer;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const checkOf = ({ checks }: Health, name: string) => checks.find((check) => check.name === name);
  const candles = '/api/v1/instruments/simulator:BTC-USDT/candles?interval=1m&limit=1';

  const fill = () => {
    const file = openSync(ballast, 'a');
    for (let bytes = MIB; bytes >= 512; )
      try {
        writeSync(file, Buffer.alloc(bytes));
      } catch {
        bytes /= 2;
      }
    closeSync(file);
  };

  test('starts, serves stored data, reports the disk with the remedy, and recovers when there is space', async () => {
    await start();
    assert.equal(
      checkOf(await until<Health>('/health/ready', (health) => checkOf(health, 'disk')?.status !== 'unknown'), 'disk')?.status,
      'ok',
    );
    await server.stop();
    fill();
    await start();
    const health = await until<Health>('/health/ready', (answer) => checkOf(answer, 'disk')?.reason !== null);
    assert.match(checkOf(health, 'disk')?.reason ?? '', /has \d+ MiB .* left\. Make room on it/);
    await get('/api/v1/instruments');
    await get(candles);
    const alerts = await until<{ rule: string; severity: string; until: number | null }[]>('/api/v1/alerts', (list) =>
      list.some(({ rule }) => rule === 'disk-low'),
    );
    assert.equal(alerts.find(({ rule }) => rule === 'disk-low')?.severity, 'critical');
    // A log in Kafka is on other disks.
    if (!IS_ON_KAFKA) assert.match(server.errors(), /the log cannot be written: no space left on device: \d+ MiB are free/);
    assert.doesNotMatch(server.errors(), /mdb_/, 'lmdb must not meet a full disk: it damages the memory of the process');
    rmSync(ballast);
    const recovered = ['disk', 'log', 'spool', 'worlds'];
    await until<Health>('/health/ready', (answer) => recovered.every((name) => checkOf(answer, name)?.status === 'ok'));
    await until<{ group: string; lag: number }[]>('/api/v1/consumer-groups', (groups) => groups.every(({ lag }) => lag < 100));
    const { rows } = await get<{ rows: number[][] }>(candles);
    await until<{ rows: number[][] }>(candles, (answer) => String(answer.rows) !== String(rows));
  });
});
