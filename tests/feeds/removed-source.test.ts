import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CandleFrame, Source, TradeFrame, Wire } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { contentOf } from '../response.ts';
import { startServer, WITHOUT_WORLD } from '../server.ts';

const sourceOf = (id: string) => ({ id, type: 'simulator', instruments: ['BTC-USDT'], historyMinutes: 2 });

test('fault 69: the history of an instrument of a removed source is available and stale', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-removed-source-'));
  const start = (...ids: string[]) =>
    startServer(['up', '--port', '0'], { cwd: folder, env: { ...WITHOUT_WORLD, MILLRACE_SOURCES: JSON.stringify(ids.map(sourceOf)) } });
  const first = await start('left', 'stays');
  const get = async <T>(url: string, path: string) => (await contentOf(await fetch(`${url}${path}`))) as T;
  await until(async () => (await get<Source[]>(first.url, '/api/v1/sources')).every(({ state }) => state === 'live'), 'both are live');
  const { updatedAt } = await get<Wire<TradeFrame>>(first.url, '/api/v1/instruments/left:BTC-USDT/trades?limit=1');
  const to = Date.parse(updatedAt ?? '');
  const paths = {
    trades: `/api/v1/instruments/left:BTC-USDT/trades?limit=5000&to=${to}`,
    candles: `/api/v1/instruments/left:BTC-USDT/candles?interval=1s&order=asc&limit=5000&to=${to - 1_000}`,
  };
  const before = { trades: await get<TradeFrame>(first.url, paths.trades), candles: await get<CandleFrame>(first.url, paths.candles) };
  assert.ok(before.trades.rows.length > 100 && before.candles.rows.length > 50);
  await first.stop();

  const second = await start('stays');
  const trades = await get<Wire<TradeFrame>>(second.url, paths.trades);
  const candles = await get<Wire<CandleFrame>>(second.url, paths.candles);
  assert.deepEqual([trades.rows, candles.rows], [before.trades.rows, before.candles.rows]);
  assert.deepEqual([trades.status, candles.status], ['stale', 'stale']);
  assert.ok(Date.parse(trades.updatedAt ?? '') >= to && candles.updatedAt === trades.updatedAt);
  const info = await get<{ ticker: string; data_status: string }>(second.url, '/udf/symbols?symbol=left:BTC-USDT');
  assert.deepEqual([info.ticker, info.data_status], ['left:BTC-USDT', 'endofday']);
  const history = await get<{ s: string; t: number[] }>(
    second.url,
    `/udf/history?symbol=left:BTC-USDT&resolution=1S&from=0&to=${Math.floor((to - 1_000) / 1_000)}`,
  );
  assert.deepEqual(
    history.t,
    candles.rows.map(([time]) => time / 1_000).filter((time) => time < Math.floor((to - 1_000) / 1_000)),
  );
  for (const path of ['/api/v1/instruments/never:BTC-USDT/trades', '/api/v1/instruments/left:BTC-USDT/quote'])
    assert.equal((await fetch(second.url + path)).status, 404);
  await second.stop();
  rmSync(folder, { recursive: true, force: true });
});
