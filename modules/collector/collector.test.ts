import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SourceConfig } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import { Collector } from './collector.ts';

/** Symbols of the instruments of a source. */
function symbolsOf(config: object): string[] {
  const sources = [{ id: 'v', ...config } as SourceConfig];
  const market = { lastTrade: () => null } as never;
  const collector = new Collector({ sources, market, clock: new ManualClock(0), onChange: () => {}, onFailure: () => {} });
  return collector.instruments.map(({ symbol }) => symbol);
}

test('two pairs of a source with one symbol are refused', () => {
  assert.throws(
    () => symbolsOf({ type: 'binance', instruments: ['AB-CUSDT', 'ABC-USDT'] }),
    /The pairs "AB-CUSDT" and "ABC-USDT" of the source "v" have the same symbol "ABCUSDT"/,
  );
  const v1 = { type: 'kraken', wsUrl: 'wss://ws.kraken.com' };
  assert.throws(() => symbolsOf({ ...v1, instruments: ['BTC-USD', 'XBT-USD'] }), /same symbol "XBT\/USD"/);
  const mapping = (as: string, pair: string) => ({ as, instrument: 's', pairs: { X: pair }, fields: { price: 'p', quantity: 'q' } });
  const feed = { type: 'websocket', url: 'ws://127.0.0.1' };
  assert.throws(() => symbolsOf({ ...feed, map: [mapping('trades', 'A-B'), mapping('quotes', 'C-D')] }), /same symbol "X"/);
  assert.deepEqual(symbolsOf({ ...feed, map: [mapping('trades', 'A-B'), mapping('quotes', 'A-B')] }), ['X']);
  assert.deepEqual(symbolsOf({ type: 'binance', instruments: ['AB-USDT', 'ABC-USDT'] }), ['ABUSDT', 'ABCUSDT']);
});
