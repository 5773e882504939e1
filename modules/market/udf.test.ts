import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type InstrumentCommand, instrumentId } from '@millrace/contracts';
import { given } from '@millrace/kernel/testing';
import fc from 'fast-check';
import Fastify from 'fastify';
import { type Instrument, newInstrument } from './instrument.ts';
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

/** The answer for 200 instruments, one of them without candles, and the ranges that are read from the store. */
async function askStore(path: string) {
  const app = Fastify();
  const none = { time: [], open: [], high: [], low: [], close: [], volume: [], version: [] };
  const reads: { from: number; to: number; limit: number }[] = [];
  const candles = async (range: (typeof reads)[number]) => {
    reads.push(range);
    return none;
  };
  const state = newInstrument();
  const ids = Array.from({ length: 200 }, (_none, index) => [instrumentId('v', `A${index}-B`), state] as const);
  const market = { series: { has: () => true, candles }, instrument: () => state, instruments: () => ids, caughtUp: async () => {} };
  udfRoutes(app, market as unknown as MarketReads);
  const response = await app.inject(`/udf/${path}`);
  return { status: response.statusCode, body: response.json() as unknown, reads };
}

test('fault 67: the price scale covers all prices, not only the last one', async () => {
  const prices = ['100.10', '100.2500', '1.0000', '100'];
  const info = await ask(
    prices.map((price, index) => trade(index, index, price)),
    `symbols?symbol=${ID}`,
  );
  assert.equal(info.pricescale, 100);
});

test('the price scale covers prices in exponential notation', async () => {
  const scaleOf = async (price: string) => (await ask([trade(1, 0, price)], `symbols?symbol=${ID}`)).pricescale;
  assert.equal(await scaleOf('1E-7'), 10_000_000);
  assert.equal(await scaleOf('1.230e-6'), 100_000_000);
  assert.equal(await scaleOf('2.5E+3'), 1);
  // A candle has its prices as numbers: their text has an exponent below a millionth.
  const price = 0.00000012;
  const candle = { time: START, open: price, high: price, low: price, close: price, volume: 1, trades: 0 };
  const info = await ask([{ type: 'RecordCandle', interval: '1m', candle }], `symbols?symbol=${ID}`);
  assert.equal(info.pricescale, 100_000_000);
});

test('countback returns bars before 1970', async () => {
  const { reads } = await askStore(`history?symbol=${ID}&resolution=1D&from=0&to=-86400&countback=3`);
  assert.ok((reads[0]?.from ?? 0) < Date.UTC(1900));
});

test('fault 69: a range without data returns the time of earlier data', async () => {
  const seconds = START / 1_000;
  const asked = (from: number, to: number) =>
    ask([trade(1, 0, '100')], `history?symbol=${ID}&resolution=1&from=${seconds + from}&to=${seconds + to}`);
  assert.deepEqual(await asked(600, 1_200), { s: 'no_data', nextTime: seconds });
  assert.deepEqual(await asked(-1_200, -600), { s: 'no_data' });
  assert.equal((await asked(0, 60)).s, 'ok');
});

test('every text as a parameter gets an answer, and the store gets times of dates and positive integers only', () =>
  fc.assert(
    fc.asyncProperty(
      fc.constantFrom('symbols', 'search', 'history'),
      fc.dictionary(
        fc.constantFrom('symbol', 'resolution', 'from', 'to', 'countback', 'query', 'exchange', 'limit'),
        fc.array(
          fc.oneof(
            fc.constantFrom(
              ID,
              '1',
              '1D',
              '-1',
              '1.5',
              '1e17',
              '1e308',
              '-1e306',
              'Infinity',
              'NaN',
              'constructor',
              'toString',
              '__proto__',
              '',
            ),
            fc.string(),
          ),
          { minLength: 1, maxLength: 2 },
        ),
      ),
      async (path, parameters) => {
        const query = new URLSearchParams(
          Object.entries({ symbol: [ID], resolution: ['1'], from: ['0'], to: ['1'], ...parameters }).flatMap(([name, values]) =>
            values.map((value) => [name, value]),
          ),
        );
        const { status, body, reads } = await askStore(`${path}?${query}`);
        assert.equal(status, 200, JSON.stringify(body));
        if (path === 'search' && Array.isArray(body)) assert.ok(body.length <= 50);
        for (const { from, to, limit } of reads) {
          assert.ok(Number.isSafeInteger(from) && Number.isSafeInteger(to), `${from} ${to}`);
          assert.ok(Number.isSafeInteger(limit) && limit > 0 && limit <= 20_001, `${limit}`);
        }
      },
    ),
  ));

test('errors name the parameter and its value, shortened', async () => {
  const errors = [`history?symbol=${ID}&resolution=constructor&from=0&to=1`, 'search?query=a&query=b', `symbols?symbol=${'x'.repeat(100)}`];
  const bodies = await Promise.all(errors.map(async (path) => (await askStore(path)).body as { errmsg: string }));
  assert.match(bodies[0]?.errmsg ?? '', /unknown resolution constructor; use one of/);
  assert.match(bodies[1]?.errmsg ?? '', /"query" is given more than once/);
  assert.equal(bodies[2]?.errmsg, `unknown symbol ${'x'.repeat(64)}…`);
});
