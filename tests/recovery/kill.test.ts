import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { CandleFrame, Instrument, TradeFrame } from '@millrace/contracts';
import { readEvents } from '../event-stream.ts';
import { startServer } from '../server.ts';
import { type MadeUpTrade, writeFrames } from './made-up-frames.ts';

/*
 * Bar 4 of "First light": kill -9 in the middle of 20,000 frames a second, again and again. What is there after the restart
 * must be a prefix of the truth, and must hold everything that any watcher had been told until 10 ms before.
 */

const KILLS = 20;
const FRAMES_PER_SECOND = 20_000;
const RUN_MS_MAX = 1_500;
/** The last group commit may be lost, no more. */
const LOST_MS_MAX = 10;
/** The server and its reader share two processors; now and then a commit’s thread waits its turn for longer than the commit takes. */
const HELD_UP_MS_MAX = 100;
const READY_MS_MAX = 5_000;
const PAIRS = ['AAA-USDT', 'BBB-USDT', 'CCC-USDT', 'DDD-USDT', 'EEE-USDT', 'FFF-USDT', 'GGG-USDT', 'HHH-USDT'];

describe('kill -9 in the middle of a replay', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kill-'));
  const recording = join(folder, 'frames.txt');
  let truth: MadeUpTrade[] = [];
  /** How long before each kill something had been told that it undid, ms. */
  const lost: number[] = [];

  before(async () => {
    truth = await writeFrames(recording, { frames: FRAMES_PER_SECOND * 4, perSecond: FRAMES_PER_SECOND, pairs: PAIRS });
    const source = { id: 'binance', type: 'binance', instruments: PAIRS, wsUrl: 'ws://127.0.0.1:9', backfill: false };
    writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources: [source], worlds: { enabled: false } }));
  });
  after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));

  for (let kill = 1; kill <= KILLS; kill++)
    test(`kill ${kill} of ${KILLS}: a prefix of the truth comes back, with all that was told until just before`, async () => {
      const data = join(folder, `data-${kill}`);
      const first = await startServer(['replay', recording, '--source', 'binance', '--speed', '1', '--port', '0', '--data', data], {
        cwd: folder,
      });
      const told: { pair: string; id: number; at: number }[] = [];
      const channels = PAIRS.map((pair) => `trades:binance:${pair}`).join(',');
      const heard = readEvents(`${first.url}/api/v1/stream?channels=${channels}`, {}, ({ event, data: message, receivedAt }) => {
        const { channel, data: trade } = message as { channel: string; data: { id: string } };
        if (event === 'trade') told.push({ pair: channel.slice('trades:binance:'.length), id: Number(trade.id), at: receivedAt });
        return true;
      });
      await new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * RUN_MS_MAX));
      const killedAt = Date.now();
      await first.kill();
      await heard;

      const restartedAt = Date.now();
      const second = await startServer(['up', '--port', '0', '--data', data], { cwd: folder });
      assert.ok(Date.now() - restartedAt < READY_MS_MAX, `ready after ${Date.now() - restartedAt} ms`);
      try {
        const stored = await everything(second.url);
        const count = stored.reduce((sum, { trades }) => sum + trades.rows.length, 0);
        assert.ok(count > 0, 'something was stored before the kill');
        const prefix = truth.slice(0, count);
        for (const { pair, trades, minutes, seconds, instrument } of stored) {
          const mine = prefix.filter((trade) => trade.pair === pair);
          assert.deepEqual(
            trades.rows.map(([time, price, quantity, , id]) => [time, price, quantity, id]),
            mine.map(({ time, price, quantity, id }) => [time, price, quantity, String(id)]),
            pair,
          );
          assert.deepEqual(minutes.rows, candles(mine, 60_000), `1m candles of ${pair}`);
          assert.deepEqual(seconds.rows, candles(mine, 1_000), `1s candles of ${pair}`);
          assert.equal(instrument.trades, mine.length);
          assert.equal(instrument.status, 'stale');
        }
        const known = new Set(prefix.map(({ pair, id }) => `${pair} ${id}`));
        const forgotten = told.filter(({ pair, id }) => !known.has(`${pair} ${id}`));
        const lostMs = forgotten.reduce((most, { at }) => Math.max(most, killedAt - at), 0);
        lost.push(lostMs);
        assert.ok(lostMs <= HELD_UP_MS_MAX, `what was told ${lostMs} ms before the kill is forgotten`);
        assert.ok(told.length > 0);
      } finally {
        await second.kill();
        rmSync(data, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
      }
    });

  test(`three quarters of the kills lost nothing that was told more than ${LOST_MS_MAX} ms before`, () => {
    const within = lost.filter((ms) => ms <= LOST_MS_MAX).length;
    assert.ok(within >= KILLS * 0.75, `${within} of ${KILLS}; lost ${lost.join(', ')} ms`);
  });
});

async function everything(url: string) {
  const get = async <T>(path: string): Promise<T> => (await fetch(url + path)).json() as Promise<T>;
  return Promise.all(
    PAIRS.map(async (pair) => {
      const at = `/api/v1/instruments/binance:${pair}`;
      return {
        pair,
        trades: await get<TradeFrame>(`${at}/trades?limit=20000`),
        minutes: await get<CandleFrame>(`${at}/candles?interval=1m&limit=20000`),
        seconds: await get<CandleFrame>(`${at}/candles?interval=1s&limit=20000`),
        instrument: await get<Instrument>(at),
      };
    }),
  );
}

function candles(trades: readonly MadeUpTrade[], length: number): number[][] {
  const bars = new Map<number, { prices: number[]; thousandths: number }>();
  for (const { time, price, quantity } of trades) {
    const opening = time - (time % length);
    const bar = bars.get(opening) ?? { prices: [], thousandths: 0 };
    bar.prices.push(Number(price));
    bar.thousandths += Math.round(Number(quantity) * 1_000);
    bars.set(opening, bar);
  }
  return [...bars].map(([opening, { prices, thousandths }]) => [
    opening,
    prices[0] as number,
    Math.max(...prices),
    Math.min(...prices),
    prices.at(-1) as number,
    thousandths / 1_000,
  ]);
}
