import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type InstrumentCommand, instrumentId, type Trade } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import { FaultReports } from './fault-reports.ts';
import { Intake } from './intake.ts';
import { Refusals } from './refusals.ts';
import { binanceHistory, binanceProtocol } from './venues/binance.ts';

const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const BTC = instrumentId('venue', 'BTC-USD');
const DAY_MS = 86_400_000;

/** A connection to Binance that is lost between the trades 1 and 5, with these rows in the history. */
async function afterLoss(rows: readonly object[]) {
  const clock = new ManualClock(START);
  const sent: InstrumentCommand[] = [];
  const history = binanceHistory('spot');
  const intake = new Intake({
    market: {
      send: (_instrument, command) => sent.push(command) > 0,
      lastTrade: () => null,
      gapsOf: () => [],
      unrecorded: async (_instrument, trades) => trades,
      recordOf: () => 'settled' as const,
      filesOf: () => ({}),
    },
    clock,
    protocol: binanceProtocol('spot'),
    checkClock: true,
    leavesGaps: true,
    instruments: new Map([['X', BTC]]),
    fetchTrades: (symbol, tradeGap) => history.trades?.(symbol, tradeGap, async () => rows) as AsyncIterable<Trade[]>,
    fetchCandles: null,
    fetchBook: null,
    get: () => Promise.reject(new Error('no network in a unit test')),
    onFull: () => {},
    onRoom: () => {},
  });
  const live = (a: number) => {
    const data = { e: 'aggTrade', s: 'X', a, p: '100', q: '1', T: clock.now(), m: false };
    intake.take(JSON.stringify({ stream: 's', data }), clock.now());
  };
  intake.connected();
  live(1);
  await clock.advance(1_000);
  intake.interrupted('the connection was lost');
  intake.connected();
  await clock.advance(1_000);
  for (const a of [5, 6, 7]) live(a);
  await clock.advance(1_000);
  const orders = sent.flatMap((command) => (command.type === 'RecordTrade' ? [command.trade.order] : []));
  const gaps = sent.flatMap((command) => (command.type === 'RecordGap' ? [[command.gap.afterId, command.gap.beforeId]] : []));
  return { intake, orders, gaps };
}

describe('a trade of a history', () => {
  const row = (a: number, changed: object = {}) => ({ a, p: '100', q: '1', T: START + a * 100, m: false, ...changed });

  for (const [what, changed, reason, detail] of [
    ['in microseconds', { T: (START + 300) * 1_000 }, 'clock-skew', /^a trade in the history of \+057983-/],
    ['of the next month', { T: START + 30 * DAY_MS }, 'clock-skew', /30d|2591\d+ ms ahead of our clock/],
    ['without a time', { T: undefined }, 'schema', /^in the history, a trade with price 100, quantity 1, time undefined/],
    ['with a negative price', { p: '-5' }, 'schema', /price -5.*add "BTC-USD" to "negativePrices"/],
    ['with a price that is no number', { p: 'abc' }, 'schema', /price abc/],
    ['with a number as text', { a: '3' }, 'schema', /a trade with price 100/],
  ] as const)
    test(`${what} is quarantined, and its gap recorded`, async () => {
      const { intake, orders, gaps } = await afterLoss([row(2), row(3, changed), row(4)]);
      assert.deepEqual(orders, [1, 2, 4, 5, 6, 7]);
      assert.deepEqual(gaps, [['2', '4']]);
      assert.deepEqual(intake.refusedBy, { [reason]: 1 });
      const [quarantined] = intake.quarantine;
      assert.match(quarantined?.detail ?? '', detail);
      assert.match(quarantined?.frame ?? '', /"quantity":"1"/);
    });

  test('with a number far from the one before it is quarantined, and later trades follow the others', async () => {
    const { intake, orders, gaps } = await afterLoss([row(2), row(3), row(4), row(9_000_000_000, { T: START + 500 })]);
    assert.deepEqual(orders, [1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(gaps, []);
    assert.deepEqual(intake.refusedBy, { 'trade-number': 1 });
  });
});

test('the detail of a fault has at most 512 characters', () => {
  const clock = new ManualClock(START);
  const details: string[] = [];
  const reports = new FaultReports(clock, ({ detail }) => void details.push(detail));
  new Refusals(clock).fault(reports, 'schema', 'x'.repeat(1_000));
  assert.deepEqual(details, [`${'x'.repeat(511)}…`]);
});
