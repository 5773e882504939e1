import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instrumentId } from '@millrace/contracts';
import type { StoredCandle } from '@millrace/series';
import { computeCandles } from './recompute-candles.ts';

const MONDAY = Date.UTC(2026, 0, 5);
const WEEK_SECONDS = 7 * 86_400;

test('a week of venue candles of one second is computed', async () => {
  const candles = Array.from({ length: WEEK_SECONDS }, (_none, second): StoredCandle => {
    const price = 100 + (second % 7);
    const prices = { open: price, high: price + 1, low: price - 1, close: price };
    return { interval: '1s', time: MONDAY + second * 1_000, ...prices, volume: 0.1, trades: 2, version: 1, origin: 'venue' };
  });
  const reads = { candles: async () => candles, tradeSums: async () => [] };
  const query = { instrument: instrumentId('x', 'A-B'), interval: '1w', from: MONDAY, to: MONDAY + WEEK_SECONDS * 1_000 } as const;
  const made = await computeCandles(reads, query);
  assert.deepEqual([...made.keys()], [MONDAY]);
  const { candle, origin } = made.get(MONDAY) ?? assert.fail();
  const close = 100 + ((WEEK_SECONDS - 1) % 7);
  assert.deepEqual(candle, { time: MONDAY, open: 100, high: 107, low: 99, close, volume: 60_480, trades: 2 * WEEK_SECONDS });
  assert.equal(origin, 'mixed');
});
