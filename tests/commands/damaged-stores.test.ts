import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openDuckDbSeries } from '@millrace/series';
import { TIME_FACTOR } from '@millrace/testing';
import { IS_ON_KAFKA } from '../log-engine.ts';
import { startServer, WITHOUT_WORLD } from '../server.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'apps', 'server', 'main.ts');

describe('fault 23: a damaged store', { skip: IS_ON_KAFKA && 'damages the log in LMDB' }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-damaged-'));
  const env = { ...WITHOUT_WORLD };
  before(async () => {
    const server = await startServer(['up', '--port', '0', '--data', 'sound'], { cwd: folder, env });
    await server.stop();
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** A new data folder with a damaged store. */
  const damaged = (name: string, store: string, damage: (path: string) => void): string => {
    cpSync(join(folder, 'sound'), join(folder, name), { recursive: true });
    damage(join(folder, name, store, 'data.mdb'));
    return join(folder, name);
  };
  const garbage = (path: string) => {
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.alloc(8_192, 0xaa), 0, 8_192, 0);
    closeSync(file);
  };
  const run = (...args: string[]): Promise<{ status: number; output: string }> =>
    new Promise((resolve) => {
      execFile(
        process.execPath,
        [MAIN, ...args],
        { env: { ...process.env, ...env }, timeout: 60_000 * TIME_FACTOR },
        (error, stdout, stderr) => resolve({ status: error ? Number(error.code ?? -1) : 0, output: `${stdout}${stderr}` }),
      );
    });

  test('a truncated log: the start reports it with the remedy, doctor finds it, --repair creates a new one, and the server starts', async () => {
    const data = damaged('cut', 'log', (path) => truncateSync(path, Math.floor(statSync(path).size / 2 / 4_096) * 4_096));
    const refused = await run('up', '--port', '0', '--data', data);
    assert.equal(refused.status, 1, refused.output);
    assert.match(refused.output, /the log of the data folder .* is damaged/);
    assert.match(refused.output, /doctor --repair/);
    const doctor = await run('doctor', '--port', '0', '--data', data);
    assert.match(doctor.output, /FAIL {2}log .*doctor --repair/);
    const repaired = await run('doctor', '--repair', '--data', data);
    assert.equal(repaired.status, 0, repaired.output);
    assert.match(repaired.output, /log: \d+ records with \d+ events were read/);
    assert.ok(readdirSync(data).some((name) => name.startsWith('log.damaged-')));
    const server = await startServer(['up', '--port', '0', '--data', data], { cwd: folder, env });
    assert.equal((await fetch(`${server.url}/api/v1/instruments`)).status, 200);
    await server.stop();
  });

  test('doctor does not check the pages of a log in use, because concurrent changes look like damage', async () => {
    // The newest pages change before they are read.
    const data = damaged('in-use', 'log', (path) => {
      const file = openSync(path, 'r+');
      for (let page = 2; page * 4_096 < statSync(path).size; page++) writeSync(file, Buffer.alloc(4_096, 0xaa), 0, 4_096, page * 4_096);
      closeSync(file);
    });
    const inUse = await openDuckDbSeries({ folder: join(data, 'series'), memoryMiB: 64, archiveAfterDays: 2, keepDays: 365 });
    const beside = await run('doctor', '--port', '0', '--data', data);
    assert.match(beside.output, /ok {4}log {10,}quick check passed; stop the server for a thorough check/);
    await inUse.close();
    const alone = await run('doctor', '--port', '0', '--data', data);
    assert.match(alone.output, /FAIL {2}log .*doctor --repair/);
  });

  test('a repair that was interrupted between its renames continues, and no empty log replaces the repaired one', async () => {
    const data = join(folder, 'interrupted');
    cpSync(join(folder, 'sound'), data, { recursive: true });
    renameSync(join(data, 'log'), join(data, 'log.repaired'));
    const refused = await run('up', '--port', '0', '--data', data);
    assert.equal(refused.status, 1, refused.output);
    assert.match(refused.output, /a repair was interrupted[\s\S]*doctor --repair/);
    const repaired = await run('doctor', '--repair', '--data', data);
    assert.equal(repaired.status, 0, repaired.output);
    assert.match(repaired.output, /log: the repair that was interrupted is finished/);
    assert.deepEqual(
      readdirSync(data).filter((name) => name.startsWith('log')),
      ['log'],
    );
  });

  test('a series store with a damaged header: the start reports it with the remedy', async () => {
    cpSync(join(folder, 'sound'), join(folder, 'history'), { recursive: true });
    garbage(join(folder, 'history', 'series', 'series.duckdb'));
    const { status, output } = await run('up', '--port', '0', '--data', join(folder, 'history'));
    assert.equal(status, 1, output);
    assert.match(output, /the history in .*series cannot be opened/);
    assert.match(output, /restore it from a backup/);
  });

  test('hot snapshots with a damaged header are set aside, and the server starts', async () => {
    const data = damaged('garbage', join('snapshots', 'hot'), garbage);
    const server = await startServer(['up', '--port', '0', '--data', data], { cwd: folder, env });
    assert.match(server.errors(), /damaged hot snapshots were set aside/);
    assert.ok(readdirSync(join(data, 'snapshots')).some((name) => name.startsWith('hot.damaged-')));
    await server.stop();
  });

  test('a damaged index of zones is reported by doctor, and removed by a start', async () => {
    const data = join(folder, 'index');
    cpSync(join(folder, 'sound'), data, { recursive: true });
    cpSync(join(data, 'snapshots', 'hot'), join(data, 'index'), { recursive: true });
    garbage(join(data, 'index', 'data.mdb'));
    assert.match((await run('doctor', '--port', '0', '--data', data)).output, /FAIL {2}index .*a start creates them again/);
    const server = await startServer(['up', '--port', '0', '--data', data], { cwd: folder, env });
    assert.match(server.errors(), /a damaged index of zones was removed/);
    assert.ok(!existsSync(join(data, 'index')));
    await server.stop();
  });
});
