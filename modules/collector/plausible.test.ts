import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type InstrumentCommand, instrumentId, type Level } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import { Intake } from './intake.ts';
import { bookProblem } from './plausible.ts';
import type { Protocol } from './source.ts';
import { binanceProtocol } from './venues/binance.ts';
import { coinbaseProtocol } from './venues/coinbase.ts';
import { krakenV1Protocol, krakenV2Protocol } from './venues/kraken.ts';

const START = Date.UTC(2026, 0, 5, 9, 0, 0);
const BTC = instrumentId('venue', 'BTC-USD');
const ISO = new Date(START).toISOString();

/** Sends frames of the instrument X. */
function intakeOf(protocol: Protocol) {
  const clock = new ManualClock(START);
  const sent: InstrumentCommand[] = [];
  const requested: string[] = [];
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
    protocol,
    checkClock: true,
    leavesGaps: true,
    instruments: new Map([['X', BTC]]),
    fetchTrades: null,
    fetchCandles: null,
    fetchBook: null,
    get: () => Promise.reject(new Error('no network in a unit test')),
    requestBook: (symbol) => void requested.push(symbol),
    onFull: () => {},
    onRoom: () => {},
  });
  const take = (message: unknown) => intake.take(JSON.stringify(message), START);
  const typesSent = () => sent.map(({ type }) => type).filter((type) => type !== 'RecordFault');
  return { clock, intake, sent, requested, take, typesSent };
}

describe('a message of an order book', () => {
  const coinbase = () => coinbaseProtocol(['X'], ['book'], () => START);
  const snapshot = (changed: object) => ({ type: 'snapshot', product_id: 'X', bids: [['100', '1']], asks: [['101', '1']], ...changed });
  const update = (changes: unknown) => ({ type: 'l2update', product_id: 'X', time: ISO, changes });
  const depth = (changed: object) => ({
    stream: 's',
    data: { e: 'depthUpdate', s: 'X', E: START, U: 1, u: 1, b: [['100', '1']], a: [], ...changed },
  });
  const v2 = (bids: unknown, changed: object = {}) => ({
    channel: 'book',
    type: 'update',
    data: [{ symbol: 'X', timestamp: ISO, bids, asks: [], checksum: 7, ...changed }],
  });

  for (const [what, protocol, message, detail] of [
    ['without bids', coinbase, snapshot({ bids: undefined }), 'an order book whose bids are undefined'],
    ['whose bids are an object', coinbase, snapshot({ bids: {} }), 'an order book whose bids are {}'],
    ['whose bids are one null', coinbase, snapshot({ bids: [null] }), 'an order book with null in its bids'],
    [
      'with a price below zero',
      coinbase,
      snapshot({ asks: [['-5', '1']] }),
      'an order book with ["-5","1"] in its asks: a price of zero or below',
    ],
    ['with a quantity below zero', coinbase, snapshot({ asks: [['5', '-1']] }), 'an order book with ["5","-1"] in its asks'],
    ['with a price as a number', coinbase, snapshot({ asks: [[5, '1']] }), 'an order book with [5,"1"] in its asks'],
    ['with an infinite quantity', coinbase, snapshot({ asks: [['5', '1e999']] }), 'an order book with ["5","1e999"] in its asks'],
    ['with a long price', coinbase, snapshot({ asks: [['5'.repeat(1e6), '1']] }), 'an order book with ["555555'],
    ['without changes', coinbase, update(undefined), 'an order book with undefined in its asks'],
    ['with a change of no side', coinbase, update([['hold', '5', '1']]), 'an order book with ["hold","5","1"] in its asks'],
    ['with a change without a quantity', coinbase, update([['buy', '5']]), 'an order book with ["5"] in its bids'],
    ['with a level that is null', () => binanceProtocol('spot'), depth({ b: [null] }), 'an order book with null in its bids'],
    ['without a time', () => binanceProtocol('spot'), depth({ E: null }), 'an order book with time null'],
    ['with an id as text', () => binanceProtocol('spot'), depth({ u: '1' }), 'an order book with the ids {"first":1,"last":"1"}'],
    ['without a quantity', () => krakenV2Protocol(['X'], ['book']), v2([{ price: '5' }]), 'an order book with ["5",null] in its bids'],
    ['with a level of null', () => krakenV2Protocol(['X'], ['book']), v2([null]), 'an order book with [null,null] in its bids'],
    [
      'without a checksum',
      () => krakenV2Protocol(['X'], ['book']),
      v2([], { checksum: undefined }),
      'an order book with the ids {"checksum":null}',
    ],
    [
      'of an unknown depth',
      () => krakenV1Protocol(['X'], ['book']),
      [1, { as: [['5', '1', '1.0']] }, 'book-x', 'X'],
      'an order book with depth null',
    ],
    ['with a missing level', () => krakenV1Protocol(['X'], ['book']), [1, { as: [null] }, 'book-10', 'X'], 'an order book with time null'],
  ] as const)
    test(`${what} is quarantined, and the whole book requested`, async () => {
      const { clock, intake, requested, take, typesSent } = intakeOf(protocol());
      take(message);
      await clock.advance(0);
      assert.deepEqual(typesSent(), ['LoseBook']);
      assert.deepEqual(intake.refusedBy, { schema: 1 });
      const [quarantined] = intake.quarantine;
      assert.equal(quarantined?.detail.slice(0, detail.length), detail);
      assert.ok((quarantined?.detail.length ?? 0) < 300);
      assert.deepEqual(requested, ['X']);
    });

  test('that is right is used, also where it removes a level at a price of zero', () => {
    const { intake, take, typesSent } = intakeOf(coinbase());
    take(snapshot({}));
    take(update([['buy', '0', '0.000']]));
    take(update([]));
    assert.deepEqual(typesSent(), ['ReplaceBook', 'UpdateBook', 'UpdateBook']);
    assert.deepEqual(intake.refusedBy, {});
  });
});

test('a level of an order book has a price above zero, unless its quantity is zero or the instrument has negative prices', () => {
  const problem = (level: unknown, negativePrices: boolean) =>
    bookProblem({ time: START, bids: [], asks: [level as Level] }, { instrument: BTC, negativePrices });
  for (const [level, isPossible, isPossibleBelowZero] of [
    [['0.10', '1.50'], true, true],
    [['1E-7', '1e3'], true, true],
    [['100', '0'], true, true],
    [['0', '0.000'], true, true],
    [['0', '1'], false, true],
    [['0.00', '0.01'], false, true],
    [['0e5', '1'], false, true],
    [['-1', '1'], false, true],
    [['-1', '0'], true, true],
    [['1', '-1'], false, false],
    [['01', '1'], false, false],
    [['1.', '1'], false, false],
    [['1', ''], false, false],
    [['1'], false, false],
    [['1', '1', '1'], false, false],
    [[1, '1'], false, false],
    [['1'.padEnd(26, '0'), '1'], false, false],
    ['11', false, false],
  ] as const)
    assert.deepEqual([problem(level, false) === null, problem(level, true) === null], [isPossible, isPossibleBelowZero], String(level));
});

describe('a time', () => {
  const messages = (T: unknown) => [
    { stream: 's', data: { e: 'aggTrade', s: 'X', a: 1, p: '1', q: '1', T, m: false } },
    { stream: 's', data: { e: 'bookTicker', s: 'X', u: 1, b: '1', B: '1', a: '2', A: '1', T } },
    { stream: 's', data: { e: 'depthUpdate', s: 'X', E: T, U: 1, u: 1, b: [], a: [] } },
    { stream: 's', data: { e: 'kline', s: 'X', k: { t: T, i: '1m', o: '1', h: '1', l: '1', c: '1', v: '1', n: 1, x: true } } },
  ];
  for (const time of [null, true, [], '', `${START}`, START + 0.5, -1e14, 1e17])
    test(`of ${JSON.stringify(time)} is refused in a trade, a quote, an order book and a candle`, () => {
      const { intake, take, typesSent } = intakeOf(binanceProtocol('futures'));
      messages(time).forEach(take);
      assert.deepEqual(typesSent(), ['LoseBook']);
      assert.deepEqual(intake.refusedBy, { schema: 4 });
    });

  test('of long ago is accepted', () => {
    const { take, typesSent } = intakeOf(binanceProtocol('futures'));
    messages(Date.UTC(1792, 4, 17)).forEach(take);
    assert.deepEqual(typesSent(), ['RecordTrade', 'ObserveQuote', 'UpdateBook', 'ObserveVenueCandle']);
  });
});

test('a candle whose number of trades is not a whole number of zero or more is refused', () => {
  const { intake, take, typesSent } = intakeOf(binanceProtocol('spot'));
  for (const n of ['7', null, -1, 1.5])
    take({ stream: 's', data: { e: 'kline', s: 'X', k: { t: START, i: '1m', o: '1', h: '1', l: '1', c: '1', v: '1', n, x: true } } });
  assert.deepEqual(typesSent(), []);
  assert.deepEqual(intake.refusedBy, { schema: 4 });
});

test('amounts beyond 1e24 are refused in a trade, a quote, an order book and a candle', () => {
  const { intake, take, typesSent } = intakeOf(binanceProtocol('futures'));
  const send = (many: string) => {
    take({ stream: 's', data: { e: 'aggTrade', s: 'X', a: 1, p: '1', q: many, T: START, m: false } });
    take({ stream: 's', data: { e: 'bookTicker', s: 'X', u: 1, b: '1', B: many, a: '2', A: '1', T: START } });
    take({ stream: 's', data: { e: 'depthUpdate', s: 'X', E: START, U: 1, u: 1, b: [['1', many]], a: [] } });
    take({ stream: 's', data: { e: 'kline', s: 'X', k: { t: START, i: '1m', o: '1', h: '1', l: '1', c: '1', v: many, n: 1, x: true } } });
  };
  for (const many of ['1e25', '1e308', '1e999']) send(many);
  assert.deepEqual(intake.refusedBy, { schema: 12 });
  send('1e24');
  assert.deepEqual(
    typesSent().filter((type) => type !== 'LoseBook'),
    ['RecordTrade', 'ObserveQuote', 'UpdateBook', 'ObserveVenueCandle'],
  );
});

describe('a refused frame', () => {
  const LONG = 'x'.repeat(1e6);

  test('is quarantined and reported with a detail of at most 512 characters, whatever it contains', () => {
    const { intake, sent, take } = intakeOf(binanceProtocol('futures'));
    const data = [
      { e: 'aggTrade', s: 'X', a: LONG, p: '1', q: '1', T: START, m: false },
      { e: 'aggTrade', s: 'X', a: 1, p: LONG, q: LONG, T: LONG, m: false },
      { e: 'aggTrade', s: LONG, a: 1, p: '1', q: '1', T: START, m: false },
      { e: 'bookTicker', s: 'X', u: 1, b: LONG, B: '1', a: LONG, A: '1', T: START },
      { e: 'bookTicker', s: 'X', u: 1, b: '1', B: '1', a: '2', A: '1', T: LONG },
      { e: 'depthUpdate', s: 'X', E: START, U: LONG, u: 1, b: LONG, a: LONG },
      { e: 'kline', s: 'X', k: { t: START, i: '1m', o: '1', h: '1', l: '1', c: '1', v: '1', n: LONG, x: true } },
    ];
    for (const each of data) take({ stream: 's', data: each });
    take({ error: { msg: LONG } });
    assert.equal(intake.quarantine.length, data.length + 1);
    for (const { detail } of intake.quarantine) assert.ok(detail.length <= 512, `${detail.length} characters`);
    for (const command of sent) assert.ok(JSON.stringify(command).length < 1_000, command.type);
  });

  test('shows the remedy also behind a long value', () => {
    const { intake, take } = intakeOf(binanceProtocol('futures'));
    take({ stream: 's', data: { e: 'aggTrade', s: 'X', a: 1, p: `-1.${'0'.repeat(60)}`, q: '1', T: START, m: false } });
    assert.match(intake.quarantine[0]?.detail ?? '', /add "BTC-USD" to "negativePrices" of the source "venue"$/);
  });

  test('of an unknown kind is counted by its kind, for at most 100 kinds of 64 characters', () => {
    const { intake, take } = intakeOf(binanceProtocol('spot'));
    for (let n = 0; n < 500; n++) take({ stream: 's', data: { e: `${n}${LONG.slice(0, 100)}` } });
    take({ stream: 's', data: { e: '7'.padEnd(101, 'x') } });
    for (const e of ['constructor', { a: 1 }, 5]) take({ stream: 's', data: { e } });
    const kinds = Object.entries(intake.ignoredBy);
    assert.equal(kinds.length, 101);
    assert.equal(
      kinds.reduce((sum, [, count]) => sum + count, 0),
      504,
    );
    assert.ok(kinds.every(([kind]) => kind.length <= 64));
  });
});
