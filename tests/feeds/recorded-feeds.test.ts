import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pairsOfRecording } from '@millrace/collector';
import type { CandleFrame, ExchangeSource, TradeFrame } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { framesOf, Player } from './player.ts';
import { platform, recordings, total } from './running.ts';
import { minuteCandles, tradesByInstrument, truthOf } from './truth.ts';

/*
 * Every recording, of imitated venues and of real ones where available, is served over a real WebSocket like its venue, and the real adapter reads it with
 * only its URL changed.
 */

const RECORDINGS = [
  { of: recordings('binance', 'binance', 'BINANCE.ws.1.0'), channels: ['trades', 'quotes', 'book', 'candles'] },
  { of: recordings('binance-futures', 'binance-futures', 'BINANCE_FUTURES.ws.1.0'), channels: ['trades', 'quotes', 'book', 'candles'] },
  { of: recordings('coinbase', 'coinbase', 'COINBASE.ws.28.0'), channels: ['trades', 'quotes', 'book'] },
  { of: recordings('kraken', 'kraken-trades', 'KRAKEN.ws.48.0'), channels: ['trades'] },
  { of: recordings('kraken', 'kraken-quotes', 'KRAKEN.ws.49.0'), channels: ['quotes'] },
  { of: recordings('kraken', 'kraken-book', 'KRAKEN.ws.50.0'), channels: ['book'] },
  { of: recordings('upbit', 'upbit', 'UPBIT.ws.62.0'), channels: ['trades', 'quotes', 'book'] },
].flatMap(({ of, channels }) => of.map((recording) => ({ ...recording, channels })));

describe('recorded frames, served like the venue', () => {
  for (const { name, type, channels, lines: read } of RECORDINGS)
    test(`${name}: each trade once, in order, with all digits; candles match the raw frames; every frame is counted`, async () => {
      const lines = await read();
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
          const trades = await running.get<TradeFrame>(`/api/v1/instruments/${type}:${pair}/trades?order=asc&limit=20000`);
          const wanted = (expected.get(pair) ?? []).map(({ time, price, quantity, side, id }) => [time, price, quantity, side, id]);
          assert.deepEqual(trades.rows, wanted, pair);
          const candles = await running.get<CandleFrame>(`/api/v1/instruments/${type}:${pair}/candles?interval=1m&order=asc&limit=20000`);
          assert.deepEqual(candles.rows, minuteCandles(expected.get(pair) ?? []), `candles of ${pair}`);
        }
        if (type === 'kraken' && channels.includes('book')) await booksAreWhole(running, config.instruments, type);
      } finally {
        await running.end();
        await player.close();
      }
    });
});

/** Trades that wait for a missing number are released after a timeout: all must arrive. */
async function allRecorded(running: Awaited<ReturnType<typeof platform>>, count: number): Promise<void> {
  await until(async () => {
    await running.settled();
    const instruments = await running.get<{ trades: number }[]>('/api/v1/instruments');
    return instruments.reduce((sum, { trades }) => sum + trades, 0) >= count;
  }, `${count} trades are recorded`);
  // On a slow machine, a request does not wait until the store has them.
  await running.settled();
}

/** Kraken sends a checksum with every update: all must agree. */
async function booksAreWhole(running: Awaited<ReturnType<typeof platform>>, pairs: readonly string[], type: string): Promise<void> {
  for (const pair of pairs) {
    const book = await running.get<{ synced: boolean; breaks: number; bids: unknown[] }>(
      `/api/v1/instruments/${type}:${pair}/book?depth=1000`,
    );
    assert.deepEqual([book.synced, book.breaks], [true, 0], pair);
    assert.ok(book.bids.length > 10);
  }
}
