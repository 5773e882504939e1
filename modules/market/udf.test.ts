import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type InstrumentCommand, instrumentId } from '@millrace/contracts';
import { given } from '@millrace/kernel/testing';
import Fastify from 'fastify';
import type { Instrument } from './instrument.ts';
import type { MarketReads } from './routes.ts';
import { udfRoutes } from './udf.ts';
import { instrumentZone } from './zone.ts';

const ID = instrumentId('venue', 'BTC-USD');
const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const zone = instrumentZone({ lateWindowMs: 600_000, outlierPercent: 1e9 });

const trade = (index: number, at: number, price: string): InstrumentCommand => ({
  type: 'RecordTrade',
  numbered: false,
  trade: { id: `t${index}`, order: index, time: START + at, price, quantity: '1', side: 'buy' },
});

/** What the feed answers of an instrument with these trades, and nothing in the store. */
async function ask(commands: readonly InstrumentCommand[], path: string): Promise<Record<string, unknown>> {
  let state: Instrument | undefined;
  given(zone)
    .when(...commands)
    .state((found) => {
      state = found;
    });
  const app = Fastify();
  const none = { time: [], open: [], high: [], low: [], close: [], volume: [], version: [] };
  const series = { has: () => false, candles: async () => none, trades: async () => [], readings: async () => [] };
  udfRoutes(app, { series, instrument: () => state, instruments: () => [], caughtUp: async () => {} } as unknown as MarketReads);
  return (await app.inject(`/udf/${path}`)).json();
}

test('fault 67: the price scale covers all prices, not only the last one', async () => {
  const prices = ['100.10', '100.2500', '1.0000', '100'];
  const info = await ask(
    prices.map((price, index) => trade(index, index, price)),
    `symbols?symbol=${ID}`,
  );
  assert.equal(info.pricescale, 100);
});

test('fault 69: a range without data returns the time of earlier data', async () => {
  const seconds = START / 1_000;
  const asked = (from: number, to: number) =>
    ask([trade(1, 0, '100')], `history?symbol=${ID}&resolution=1&from=${seconds + from}&to=${seconds + to}`);
  assert.deepEqual(await asked(600, 1_200), { s: 'no_data', nextTime: seconds });
  assert.deepEqual(await asked(-1_200, -600), { s: 'no_data' });
  assert.equal((await asked(0, 60)).s, 'ok');
});
