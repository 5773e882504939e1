import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FeedEvents } from '../source.ts';
import { simulatorFeed } from './simulator.ts';

const MINUTES = 30;

test('fault 38: the simulated market is not live before its history is complete', async () => {
  const told: string[] = [];
  let newest = 0;
  let connection = { close: () => {} };
  await new Promise<void>((resolve) => {
    const events: FeedEvents = {
      opened: (isBehind) => told.push(`opened ${isBehind ? 'behind' : 'live'}`),
      heard: () => {},
      caughtUp: () => {
        told.push('caught up');
        resolve();
      },
      frame: (frame) => {
        const { t } = JSON.parse(frame) as { t: number };
        newest = Math.max(newest, t);
        if (told.at(-1) !== 'frames') told.push('frames');
      },
      file: assert.fail,
      refused: assert.fail,
      closed: assert.fail,
      finished: assert.fail,
    };
    const now = Date.now();
    // Time stands still, so that the whole past is all that comes.
    connection = simulatorFeed({
      pairs: ['BTC-USDT', 'ETH-USDT'],
      seed: 1,
      tradesPerSecond: 2,
      historyMinutes: MINUTES,
      now: () => now,
      goOnFrom: () => null,
      until: null,
    }).open(events);
    newest = now - MINUTES * 60_000;
  });
  connection.close();
  assert.deepEqual(told, ['opened behind', 'frames', 'caught up']);
  assert.ok(newest > Date.now() - 60_000, `the newest trade is of ${new Date(newest).toISOString()}`);
});
