import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Millrace, MillraceError } from '@millrace/client';
import { LiveCandles } from './candle-series.ts';

const unavailable = new MillraceError({ code: 'HISTORY_UNAVAILABLE', detail: '', remedy: '', status: 503 });
const unknown = new MillraceError({ code: 'UNKNOWN_INSTRUMENT', detail: '', remedy: '', status: 404 });

/** Candles over a live stream, whose requests get these responses one after another. */
function open(responses: ('ok' | MillraceError)[]) {
  let requests = 0;
  let send: (message: { event: string; data: object }) => void = () => {};
  const millrace = {
    getCandles: async () => {
      const response = responses[requests++];
      if (response !== 'ok') throw response;
      return { status: 'live', rows: [[60_000, '1', '1', '1', '1', '1']] };
    },
    watch: (_channels: unknown, listener: typeof send) => {
      send = listener;
      return () => {};
    },
  } as unknown as Millrace;
  const live = new LiveCandles(millrace, { instrument: 'i', interval: '1m', limit: 10 }, () => {});
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { live, settle, requests: () => requests, candle: (time: number) => send({ event: 'candle', data: { time, status: 'live' } }) };
}

test('a failed request is repeated while the stream is live, and candles are shown again', async ({ mock }) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const { live, settle, candle } = open([unavailable, unavailable, 'ok']);
  await settle();
  assert.deepEqual([live.series.status, live.series.error], ['failed', unavailable]);
  mock.timers.tick(1_000);
  await settle();
  assert.equal(live.series.status, 'failed');
  mock.timers.tick(2_000);
  await settle();
  candle(120_000);
  assert.deepEqual([live.series.status, live.series.candles.map(({ time }) => time)], ['live', [60_000, 120_000]]);
  live.close();
});

test('a request that would fail again is not repeated, and none is made after close', async ({ mock }) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const wrong = open([unknown]);
  const closed = open([unavailable]);
  await wrong.settle();
  closed.live.close();
  mock.timers.tick(60_000);
  await wrong.settle();
  assert.deepEqual([wrong.requests(), wrong.live.series.error, closed.requests()], [1, unknown, 1]);
});
