import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Candle, INTERVAL_MS } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import { GapCandles } from './gap-candles.ts';

const START = Date.UTC(2026, 0, 5, 9);
const MINUTE = INTERVAL_MS['1m'];
const candleAt = (time: number): Candle => ({ time, open: 1, high: 1, low: 1, close: 1, volume: 1, trades: 1 });

test('candles of a gap that cannot be read are read again, each once, until the last one is', async () => {
  const clock = new ManualClock(START + 10 * MINUTE);
  const counts = { repaired: 0, failed: 0 };
  let reads = 0;
  const candles = new GapCandles({
    clock,
    history: {
      intervals: ['1m', '5m'],
      // Every second read fails; a page has two candles.
      read: async (_symbol, interval, from, to) => {
        if (++reads % 2 === 0) throw new Error('503');
        const length = INTERVAL_MS[interval];
        return [from, from + length].filter((time) => time < to).map(candleAt);
      },
    },
    get: () => Promise.reject(new Error('no network in a unit test')),
    onRepaired: () => void counts.repaired++,
    onFailure: () => void counts.failed++,
  });
  const recorded: string[] = [];
  candles.readLater('X', { from: START, to: START + 5 * MINUTE - 1, afterId: '1', beforeId: '9', reason: '' }, (interval, { time }) =>
    recorded.push(`${interval} ${(time - START) / MINUTE}`),
  );
  for (let hours = 0; hours < 14; hours++) await clock.advance(3_600_000);
  assert.deepEqual(recorded, ['1m 0', '1m 1', '1m 2', '1m 3', '1m 4', '5m 0']);
  assert.deepEqual([counts.repaired, counts.failed], [1, 3]);
});
