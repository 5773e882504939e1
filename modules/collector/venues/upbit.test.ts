import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Gap, INTERVAL_MS } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import { GapCandles } from '../gap-candles.ts';
import type { GetJson } from '../source.ts';
import { LOST_TRADES_MAX } from '../trade-numbers.ts';
import { upbitHistory } from './upbit.ts';

const START = Date.UTC(2026, 0, 5, 9);
const MINUTE = INTERVAL_MS['1m'];
const CANDLES_PAGE = 200;

/** The candles of a venue with a trade in some minutes after `START`. */
function candlesOf(minutes: readonly number[]): GetJson {
  return async (path) => {
    const { pathname, searchParams } = new URL(path, 'http://venue');
    const length = Number(pathname.split('/').at(-1)) * MINUTE;
    const to = Date.parse(searchParams.get('to') ?? '');
    const openings = new Set(minutes.map((minute) => Math.floor((START + minute * MINUTE) / length) * length));
    return [...openings]
      .filter((opening) => opening < to)
      .sort((one, other) => other - one)
      .slice(0, CANDLES_PAGE)
      .map((opening) => ({ candle_date_time_utc: new Date(opening).toISOString().slice(0, 19), trade_price: 1 }));
  };
}

describe('the history of Upbit', () => {
  test('has all candles of a gap, also after hours without trades', async () => {
    const minutes = [0, 3, 700, 1_000, 1_001];
    const gap: Gap = { from: START, to: START + 1_002 * MINUTE - 1, afterId: '1', beforeId: '2', reason: '' };
    const clock = new ManualClock(gap.to + MINUTE);
    const recorded: number[] = [];
    const { promise: repaired, resolve } = Promise.withResolvers<void>();
    const history = { ...(upbitHistory().candles ?? assert.fail()), intervals: ['1m'] as const };
    const candles = new GapCandles({ clock, history, get: candlesOf(minutes), onRepaired: resolve, onFailure: () => assert.fail() });
    candles.readLater('KRW-BTC', gap, (_interval, { time }) => recorded.push((time - START) / MINUTE));
    await clock.advance(MINUTE);
    await repaired;
    assert.deepEqual(recorded, minutes);
  });

  test('has at most 100,000 trades at once: the newest', async () => {
    let requests = 0;
    let newest = 0;
    const get: GetJson = async () => {
      requests++;
      return Array.from({ length: 500 }, () => {
        const timestamp = START + 10 * LOST_TRADES_MAX - newest++;
        return { sequential_id: `${timestamp}0000`, timestamp, trade_price: '1', trade_volume: '1', ask_bid: 'BID' };
      });
    };
    const pages = await Array.fromAsync(upbitHistory().trades?.('KRW-BTC', { after: null, since: START, before: null }, get) ?? []);
    assert.deepEqual([requests, pages.flat().length], [LOST_TRADES_MAX / 500, LOST_TRADES_MAX]);
    assert.equal(pages.at(-1)?.at(-1)?.time, START + 10 * LOST_TRADES_MAX);
  });
});
