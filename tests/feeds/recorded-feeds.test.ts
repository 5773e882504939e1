import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { pairsOfRecording } from '@millrace/collector';
import type { CandleFrame, ExchangeSource, TradeFrame } from '@millrace/contracts';
import { until } from '@millrace/platform/testing';
import { framesOf, Player, recordedLines } from './player.ts';
import { FRAMES, NO_FRAMES, platform, total } from './running.ts';
import { minuteCandles, tradesByInstrument, truthOf } from './truth.ts';

/*
 * Bar 2 of "First light": every recorded file is served over a real WebSocket as its venue would serve it, and the real
 * adapter reads it with only its URL changed.
 */

const RECORDINGS = [
  { file: 'BINANCE.ws.1.0', type: 'binance', channels: ['trades', 'quotes', 'book', 'candles'] },
  { file: 'BINANCE_FUTURES.ws.1.0', type: 'binance-futures', channels: ['trades', 'quotes', 'book', 'candles'] },
  { file: 'COINBASE.ws.28.0', type: 'coinbase', channels: ['trades', 'quotes', 'book'] },
  { file: 'KRAKEN.ws.48.0', type: 'kraken', channels: ['trades'] },
  { file: 'KRAKEN.ws.49.0', type: 'kraken', channels: ['quotes'] },
  { file: 'KRAKEN.ws.50.0', type: 'kraken', channels: ['book'] },
  { file: 'UPBIT.ws.62.0', type: 'upbit', channels: ['trades', 'quotes', 'book'] },
] as const;

describe('a recorded feed, served as its venue would', { skip: NO_FRAMES }, () => {
  for (const { file, type, channels } of RECORDINGS)
    test(`${file}: every trade once, in order, with every digit; candles as the raw frames have them; every frame accounted for`, async () => {
      const lines = await recordedLines(join(FRAMES, file));
      const frames = framesOf(lines);
      const truth = truthOf(type, frames);
      const player = new Player(frames, type.startsWith('binance'));
      const urls = await player.listen();
      const config = { id: type, type, instruments: pairsOfRecording(type, lines), channels: [...channels], ...urls } as ExchangeSource;
      const running = await platform([config]);
      try {
        const source = await running.until(({ frames: seen }) => seen === frames.length);
        assert.equal(total(source.consumed) + total(source.ignored) + total(source.refused), frames.length);
        assert.deepEqual(source.refused, {});
        for (const [kind, count] of truth.kinds)
          assert.equal((source.consumed[kind] ?? 0) + (source.ignored[kind] ?? 0), count, `frames of kind ${kind}`);

        const expected = tradesByInstrument(truth.trades);
        await allRecorded(running, truth.trades.length);
        for (const pair of config.instruments) {
          const trades = await running.get<TradeFrame>(`/api/v1/instruments/${type}:${pair}/trades?limit=20000`);
          const wanted = (expected.get(pair) ?? []).map(({ time, price, quantity, side, id }) => [time, price, quantity, side, id]);
          assert.deepEqual(trades.rows, wanted, pair);
          const candles = await running.get<CandleFrame>(`/api/v1/instruments/${type}:${pair}/candles?interval=1m&limit=20000`);
          assert.deepEqual(candles.rows, minuteCandles(expected.get(pair) ?? []), `candles of ${pair}`);
        }
        if (file === 'KRAKEN.ws.50.0') await booksAreWhole(running, config.instruments, type);
      } finally {
        await running.end();
        await player.close();
      }
    });
});

/** Trades that wait for a number that never came are released after a moment: all of them must arrive. */
async function allRecorded(running: Awaited<ReturnType<typeof platform>>, count: number): Promise<void> {
  await until(async () => {
    await running.settled();
    const instruments = await running.get<{ trades: number }[]>('/api/v1/instruments');
    return instruments.reduce((sum, { trades }) => sum + trades, 0) >= count;
  }, `${count} trades are recorded`);
}

/** Kraken sends a checksum with every update: all of them must have agreed. */
async function booksAreWhole(running: Awaited<ReturnType<typeof platform>>, pairs: readonly string[], type: string): Promise<void> {
  for (const pair of pairs) {
    const book = await running.get<{ synced: boolean; breaks: number; bids: unknown[] }>(
      `/api/v1/instruments/${type}:${pair}/book?depth=1000`,
    );
    assert.deepEqual([book.synced, book.breaks], [true, 0], pair);
    assert.ok(book.bids.length > 10);
  }
}
