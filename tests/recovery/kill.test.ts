import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { CandleFrame, Instrument, TradeFrame } from '@millrace/contracts';
import { recordedEvents } from '../recorded-events.ts';
import { contentOf } from '../response.ts';
import { killAfter, PAIRS, prepareReplay } from './killing.ts';
import type { MadeUpTrade } from './made-up-frames.ts';

/*
 * SIGKILL in the middle of 20,000 frames per second, several times. The laws, for each instrument (there is no order between instruments): the stored
 * trades after the restart are a prefix of the sent ones; they include every event that was reported as durable; a subscriber received trades without
 * a gap, so only the end can be lost. How many milliseconds are lost depends on the disk: `npm run bench -- kill`.
 */

const KILLS = process.env.TEST_ALL ? 5 : 2;
/** Trades that a subscriber receives before the kill: from shortly after the start to most of the replay. */
const TRADES_MIN = 500;
const TRADES_MAX = 30_000;

describe('kill -9 in the middle of a replay', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kill-'));
  let truth: MadeUpTrade[] = [];

  before(async () => {
    truth = await prepareReplay(folder);
  });
  after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));

  const reports: number[] = [];
  for (let kill = 1; kill <= KILLS; kill++)
    test(`kill ${kill} of ${KILLS}: a prefix of the sent trades is stored, including all that were reported as durable`, async () => {
      const trades = TRADES_MIN + Math.floor(Math.random() * (TRADES_MAX - TRADES_MIN));
      const { told, reported, data, again, end } = await killAfter(trades, folder, String(kill));
      try {
        const stored = await everything(again.url);
        for (const { pair, trades, minutes, seconds, instrument } of stored) {
          const mine = truth.filter((trade) => trade.pair === pair).slice(0, trades.rows.length);
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
        const written = (await recordedEvents(data, 'market')).reduce((sum, { events }) => sum + events.length, 0);
        reports.push(reported);
        assert.ok(written >= reported, `${reported} events were reported as written, ${written} are there`);
        for (const pair of PAIRS) {
          const ids = told.filter((trade) => trade.pair === pair).map(({ id }) => id);
          assert.deepEqual(
            ids,
            ids.map((_id, index) => (ids[0] as number) + index),
            `every trade of ${pair} was told once, in order: so what is gone is the end of it`,
          );
        }
      } finally {
        await end();
      }
    });

  test('before most kills some events were reported as durable', () => {
    assert.ok(reports.filter((reported) => reported > 0).length >= KILLS / 2, JSON.stringify(reports));
  });
});

async function everything(url: string) {
  const get = async <T>(path: string): Promise<T> => contentOf(await fetch(url + path)) as Promise<T>;
  return Promise.all(
    PAIRS.map(async (pair) => {
      const at = `/api/v1/instruments/binance:${pair}`;
      return {
        pair,
        trades: await get<TradeFrame>(`${at}/trades?order=asc&limit=20000`),
        minutes: await get<CandleFrame>(`${at}/candles?interval=1m&order=asc&limit=20000`),
        seconds: await get<CandleFrame>(`${at}/candles?interval=1s&order=asc&limit=20000`),
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
