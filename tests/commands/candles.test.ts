import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Source } from '@millrace/contracts';
import { openDuckDbSeries } from '@millrace/series';
import { TIME_FACTOR, until } from '@millrace/testing';
import { contentOf } from '../response.ts';
import { startServer, WITHOUT_WORLD } from '../server.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'apps', 'server', 'main.ts');

test('doctor --candles compares stored candles with stored trades and reports differences', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-doctor-candles-'));
  const sources = [{ id: 'sim', type: 'simulator', instruments: ['BTC-USDT', 'ETH-USDT'], historyMinutes: 5 }];
  const env = { ...WITHOUT_WORLD, MILLRACE_SOURCES: JSON.stringify(sources) };
  const doctor = (...args: string[]): Promise<{ status: number; output: string }> =>
    new Promise((resolve) => {
      execFile(
        process.execPath,
        [MAIN, 'doctor', '--candles', '--data', join(folder, 'data'), ...args],
        { cwd: folder, env: { ...process.env, ...env }, timeout: 60_000 * TIME_FACTOR },
        (error, stdout, stderr) => resolve({ status: error ? Number(error.code ?? -1) : 0, output: `${stdout}${stderr}` }),
      );
    });
  const server = await startServer(['up', '--port', '0', '--data', 'data'], { cwd: folder, env });
  await until(
    async () => ((await contentOf(await fetch(`${server.url}/api/v1/sources`))) as Source[]).every(({ state }) => state === 'live'),
    'the past has been made up',
  );
  await until(
    async () =>
      ((await contentOf(await fetch(`${server.url}/api/v1/consumer-groups`))) as { lag: number; applied: number }[]).every(
        ({ lag, applied }) => lag === 0 && applied > 0,
      ),
    'the past is stored',
  );
  await server.stop();

  const sound = await doctor();
  assert.equal(sound.status, 0, sound.output);
  assert.match(sound.output, /ok {4}sim:BTC-USDT +[1-9]\d+ candles compared, 0 differ/);
  const series = await openDuckDbSeries({ folder: join(folder, 'data', 'series'), memoryMiB: 64, archiveAfterDays: 2, keepDays: 365 });
  const [instrument] = series.instruments().filter((id) => id === 'sim:ETH-USDT');
  assert.ok(instrument);
  const [last] = await series.trades({ instrument, from: 0, to: Number.MAX_SAFE_INTEGER, order: 'desc', limit: 1 });
  const time = Math.floor((last?.time ?? 0) / 60_000 - 2) * 60_000;
  const values = { open: 1, high: 7, low: 1, close: 1, volume: 1, trades: 1 };
  const row = { instrument, interval: '1m', time, ...values, version: 99, origin: 'trades', known: time } as const;
  await series.write({ trades: [], readings: [], candles: [row] }, null);
  await series.close();
  const { status, output } = await doctor('--from', 'sim:ETH-USDT');
  assert.equal(status, 1, output);
  assert.doesNotMatch(output, /BTC-USDT/);
  assert.match(
    output,
    new RegExp(`FAIL {2}sim:ETH-USDT.* 1 differ;.*\\n +1m ${new Date(time).toISOString()} open: stored 1, of its trades \\d`),
  );
  rmSync(folder, { recursive: true, force: true });
});
