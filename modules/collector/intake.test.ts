import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Candle, type InstrumentCommand, type InstrumentId, instrumentId, type Trade } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import { Intake } from './intake.ts';
import type { IntakeOptions } from './intake-options.ts';
import { Matcher } from './matching.ts';
import { isInGap, type Protocol } from './source.ts';

const BTC = instrumentId('venue', 'BTC-USD');
const START = Date.UTC(2026, 0, 5, 9, 0, 0);

/** Frames are `{ n, at, price? }`: numbered trades of one instrument. */
const protocol: Protocol = {
  connected: () => [],
  read(frame, sink) {
    const { n, at, price = '100' } = JSON.parse(frame) as { n: number; at: number; price?: string };
    sink.consumed('trade');
    sink.trade('BTC', { id: String(n), order: n, time: START + at, price, quantity: '1', side: 'buy' }, true);
  },
};

interface Setting {
  readonly intake: Intake;
  readonly clock: ManualClock;
  readonly sent: InstrumentCommand[];
  readonly orders: () => number[];
  full: boolean;
  files: Record<string, number>;
  readonly readings: string[];
}

function setting(options: Partial<IntakeOptions> = {}, last: Trade | null = null): Setting {
  const clock = new ManualClock(START);
  const sent: InstrumentCommand[] = [];
  const readings: string[] = [];
  const set: { full: boolean; files: Record<string, number> } = { full: false, files: {} };
  const market = {
    send: (_instrument: InstrumentId, command: InstrumentCommand) => {
      if (!set.full) sent.push(command);
      return !set.full;
    },
    lastTrade: () => last,
    unrecorded: async (_instrument: InstrumentId, trades: readonly Trade[]) => trades,
    gapsOf: () => [],
    recordOf: () => 'settled' as const,
    filesOf: () => set.files,
  };
  const intake = new Intake({
    market,
    clock,
    protocol,
    checkClock: false,
    leavesGaps: true,
    instruments: new Map([['BTC', BTC]]),
    fetchTrades: null,
    fetchCandles: null,
    fetchBook: null,
    get: () => Promise.reject(new Error('no network in a unit test')),
    onFull: () => readings.push('full'),
    onRoom: () => readings.push('room'),
    ...options,
  });
  const orders = () => sent.flatMap((command) => (command.type === 'RecordTrade' ? [command.trade.order] : []));
  return Object.assign(set, { intake, clock, sent, orders, readings });
}

const frame = (n: number, at = n * 1_000) => JSON.stringify({ n, at });
const take = ({ intake }: Setting, ...numbers: number[]) => numbers.forEach((n) => void intake.take(frame(n), START + n * 1_000));

describe('the intake', () => {
  describe('fault 69: prices of zero and below', () => {
    const quote = (bid: string, ask: string, quantity = '1') => ({ time: START, bid, bidQuantity: quantity, ask, askQuantity: quantity });
    const candle = (low: number): Candle => ({ time: START, open: low, high: 5, low, close: 5, volume: 1, trades: 1 });
    const feed = ({ intake }: Setting) => {
      for (const price of ['-37.63', '0', '-0', '12']) intake.take(JSON.stringify({ n: 1, at: 0, price }), START);
      for (const [bid, ask] of [
        ['-2', '1'],
        ['-2', '-1'],
        ['0', '1'],
        ['1', '2'],
      ] as const)
        intake.quote('BTC', quote(bid, ask));
      for (const low of [-3, 0, 2]) intake.candle('BTC', '1m', candle(low));
      for (const low of [-3, 0, 2]) intake.venueCandle('BTC', '1m', candle(low), true);
    };
    const kinds = ({ sent }: Setting) => Object.entries(Object.groupBy(sent, ({ type }) => type)).map(([type, of]) => [type, of?.length]);

    test('are refused, counted and quarantined with a reason that names the setting', () => {
      const set = setting({ leavesGaps: false });
      feed(set);
      const taken = kinds(set).filter(([type]) => type !== 'RecordFault');
      assert.deepEqual(taken, [
        ['RecordTrade', 1],
        ['ObserveQuote', 1],
        ['RecordCandle', 1],
        ['ObserveVenueCandle', 1],
      ]);
      assert.equal(set.intake.refusedBy.schema, 3 + 3 + 2 + 2);
      assert.equal(set.intake.quarantine.length, 10);
      for (const { detail } of set.intake.quarantine) assert.match(detail, /add "BTC-USD" to "negativePrices" of the source "venue"/);
    });

    test('are accepted if the setting allows them', () => {
      const set = setting({ leavesGaps: false, negativePrices: new Set([BTC]) });
      feed(set);
      assert.deepEqual(kinds(set), [
        ['RecordTrade', 4],
        ['ObserveQuote', 4],
        ['RecordCandle', 3],
        ['ObserveVenueCandle', 3],
      ]);
      assert.deepEqual(set.intake.quarantine, []);
    });

    test('an empty side of a quote may have the price 0', () => {
      const set = setting();
      set.intake.quote('BTC', { ...quote('0', '1'), bidQuantity: '0' });
      assert.deepEqual(kinds(set), [['ObserveQuote', 1]]);
    });
  });

  test('fault 32: instruments are accepted by pattern up to a bound; others are quarantined with the reason', () => {
    const matching = [
      { symbol: 't([a-z]{3})(usd|krw)', pair: '$1-$2', instrumentsMax: 2 },
      { symbol: '(odd)', pair: '$1', instrumentsMax: 1 },
    ];
    const matcher = new Matcher('venue', matching);
    const read: Protocol['read'] = (frame, sink) => {
      sink.consumed('trade');
      const trade = { id: frame, order: 0, time: START, price: '1', quantity: '1', side: 'buy' } as const;
      sink.trade(frame.split(' ')[0] ?? '', trade, false);
    };
    const to: string[] = [];
    const market = {
      send: (id: InstrumentId, { type }: InstrumentCommand) => to.push(`${id} ${type}`) > 0,
      lastTrade: () => null,
      unrecorded: async (_instrument: InstrumentId, trades: readonly Trade[]) => trades,
      gapsOf: () => [],
      recordOf: () => 'settled' as const,
      filesOf: () => ({}),
    };
    const set = setting({ leavesGaps: false, protocol: { connected: () => [], read }, market, match: (symbol) => matcher.take(symbol) });
    for (const text of ['tbtcusd 1', 'tbtcusd 2', 'tethkrw 3', 'txrpusd 4', 'other 5', 'odd 6', `t${'x'.repeat(100)} 7`, 'tethkrw 8'])
      set.intake.take(text, START);
    assert.deepEqual(
      to,
      ['venue:BTC-USD', 'venue:BTC-USD', 'venue:ETH-KRW', 'venue:ETH-KRW'].map((id) => `${id} RecordTrade`),
    );
    assert.deepEqual(set.intake.refusedBy, { 'too-many-instruments': 1, 'unknown-symbol': 3 });
    assert.deepEqual(
      set.intake.quarantine.map(({ detail }) => detail.replace(/x{10,}/, '…')),
      [
        '"t…" is not an instrument of this source, and matches no pattern',
        '"odd" matches, but its pair "ODD" does not read BASE-QUOTE',
        '"other" is not an instrument of this source, and matches no pattern',
        '"txrpusd" matches, but 2 instruments have been taken: raise "instrumentsMax" of the mapping, or narrow its pattern',
      ],
    );
  });

  test('fault 32: a second symbol of the same pair is refused, so that their trades are not mixed', () => {
    const matcher = new Matcher('venue', [{ symbol: '.*(btc|BTC).*', pair: '$1-USD' }]);
    assert.deepEqual(matcher.take('tBTC'), { instrument: BTC });
    assert.deepEqual(matcher.take('tBTC'), { instrument: BTC });
    assert.ok('reason' in matcher.take('fbtc'));
  });

  test('reorders swapped neighbours and counts them', async () => {
    const set = setting();
    take(set, 1, 3, 2, 4);
    assert.deepEqual(set.orders(), [1, 2, 3, 4]);
    assert.equal(set.intake.faults['out-of-order'], 1);
  });

  test('records a gap with its bounds when a number is missing, and continues', async () => {
    const set = setting();
    take(set, 1, 4, 5);
    assert.deepEqual(set.orders(), [1]);
    await set.clock.advance(300);
    assert.deepEqual(set.orders(), [1, 4, 5]);
    const gap = set.sent.find((command) => command.type === 'RecordGap');
    assert.deepEqual(gap?.type === 'RecordGap' && [gap.gap.afterId, gap.gap.beforeId, gap.gap.missing], ['1', '4', 2]);
  });

  test('requests missing trades from the history, and emits all in order', async () => {
    const asked: unknown[] = [];
    const fetchTrades: IntakeOptions['fetchTrades'] = async function* (_symbol, tradeGap) {
      asked.push([tradeGap.after?.order, tradeGap.before?.order]);
      yield [2, 3].map((n): Trade => ({ id: String(n), order: n, time: START + n * 1_000, price: '1', quantity: '1', side: 'sell' }));
    };
    const set = setting({ fetchTrades });
    take(set, 1, 4);
    await set.clock.advance(300);
    take(set, 5);
    assert.deepEqual(asked, [[1, 4]]);
    assert.deepEqual(set.orders(), [1, 2, 3, 4, 5]);
    assert.equal(
      set.sent.some(({ type }) => type === 'RecordGap'),
      false,
    );
    assert.equal(
      set.sent.some(({ type }) => type === 'RecordRepair'),
      true,
    );
  });

  test('fault 64: a gap with a failing history is recorded at once, and filled later', async () => {
    let failures = 3;
    const fetchTrades: IntakeOptions['fetchTrades'] = async function* (_symbol, tradeGap) {
      const trades = [2, 3]
        .map((n): Trade => ({ id: String(n), order: n, time: START + n * 1_000, price: '1', quantity: '1', side: 'sell' }))
        .filter((trade) => isInGap(trade, tradeGap));
      yield trades.filter(({ order }) => order === 2);
      if (failures-- > 0) throw new Error('it answered 503');
      yield trades.filter(({ order }) => order === 3);
    };
    const set = setting({ fetchTrades });
    take(set, 1, 4);
    await set.clock.advance(300);
    take(set, 5);
    assert.deepEqual(set.orders(), [1, 2, 4, 5], 'what is new does not wait');
    assert.equal(set.sent.filter(({ type }) => type === 'RecordGap').length, 1);
    await set.clock.advance(600_000);
    assert.deepEqual(set.orders(), [1, 2, 4, 5, 3]);
    const repairs = set.sent.flatMap((command) => (command.type === 'RecordRepair' ? [command] : []));
    const gap = { afterId: '2', beforeId: '4' };
    assert.deepEqual(repairs.at(-1), { type: 'RecordRepair', from: START + 2_000, to: START + 4_000, trades: 1, gap, left: [] });
    const recorded = set.sent.flatMap((command) => (command.type === 'RecordGap' ? [command.gap] : []));
    assert.deepEqual(
      recorded.map(({ afterId, beforeId }) => ({ afterId, beforeId })),
      [gap],
      'the repair is that of the gap',
    );
  });

  test('after a restart requests the trades since the newest recorded one', async () => {
    const fetchTrades: IntakeOptions['fetchTrades'] = async function* (_symbol, tradeGap) {
      yield [{ id: '8', order: (tradeGap.after?.order ?? 0) + 1, time: START, price: '1', quantity: '1', side: 'buy' }];
    };
    const set = setting({ fetchTrades }, { id: '7', order: 7, time: START - 1_000, price: '1', quantity: '1', side: 'buy' });
    set.intake.connected();
    await set.clock.settle();
    take(set, 9);
    assert.deepEqual(set.orders(), [8, 9]);
  });

  test('uses candles of the venue when its trades are unavailable', async () => {
    const candle = (time: number): Candle => ({ time, open: 1, high: 2, low: 1, close: 2, volume: 9, trades: 0 });
    const set = setting({
      fetchCandles: {
        intervals: ['1m'],
        // The one in the middle opens within a minute.
        read: async (_symbol, _interval, from, to) => [0, 14_000, 60_000].map((at) => candle(from + at)).filter(({ time }) => time < to),
      },
    });
    set.intake.take(frame(1, 10_000), START + 10_000);
    set.intake.take(frame(5, 70_000), START + 70_000);
    await set.clock.advance(300);
    assert.equal(set.sent.filter(({ type }) => type === 'RecordCandle').length, 0);
    await set.clock.advance(60_000);
    assert.deepEqual(
      set.sent.flatMap((command) => (command.type === 'RecordCandle' ? [[command.candle.time - START, command.replacesIncomplete]] : [])),
      [
        [0, true],
        [60_000, true],
      ],
    );
  });

  test('quarantines invalid JSON and invalid prices, with the frame', () => {
    const set = setting();
    set.intake.take('{"n":', START);
    set.intake.take(JSON.stringify({ n: 1, at: 0, price: 'cheap' }), START);
    assert.deepEqual(set.intake.refusedBy, { schema: 2 });
    assert.equal(set.intake.quarantine[0]?.detail.includes('cheap'), true);
    assert.equal(set.intake.quarantine[1]?.frame, '{"n":');
    assert.deepEqual(set.orders(), []);
  });

  test('fault 54: imported rows of a file are skipped, and new rows have their position', () => {
    const set = setting();
    set.files = { f: 2 };
    set.intake.beginFile('f');
    take(set, 1, 2, 3);
    set.intake.take('{', START);
    take(set, 4);
    assert.deepEqual(
      set.sent.flatMap((command) => (command.type === 'RecordTrade' ? [[command.trade.order, command.from]] : [])),
      [
        [3, { file: 'f', at: 3 }],
        [4, { file: 'f', at: 4 }],
      ],
    );
    set.files = { 'g-100': 5 };
    assert.throws(() => set.intake.beginFile('g-101', 'g'), /it has changed since it was imported/);
    assert.throws(() => set.intake.beginFile('g'), /it has changed since it was imported/, 'it has been put in order since');
    set.files = { h: 5 };
    assert.throws(() => set.intake.beginFile('h-6', 'h'), /it has changed since it was imported/, 'it was in order before');
    set.files = { 'g-100': 5 };
    set.intake.beginFile('g-100', 'g');
  });

  test('fault 57: data of the future is quarantined, counted, and reported to its instrument', () => {
    const set = setting();
    set.intake.take(frame(1, 59_000), START);
    set.intake.take(frame(2, 60_001), START);
    set.intake.take(frame(3, 1.6e15), START);
    assert.deepEqual(set.orders(), [1]);
    assert.deepEqual([set.intake.refusedBy['clock-skew'], set.intake.faults['clock-skew']], [2, 2]);
    assert.match(set.intake.quarantine[1]?.detail ?? '', /^a trade of 2026-01-05T09:01:00.001Z, 60001 ms ahead of our clock$/);
    assert.ok(set.sent.some((command) => command.type === 'RecordFault' && command.fault === 'clock-skew'));
  });

  test('fault 32: data of unknown instruments is quarantined with the reason', () => {
    const set = setting({ instruments: new Map() });
    take(set, 1);
    assert.deepEqual(
      [set.intake.refusedBy['unknown-symbol'], set.intake.quarantine[0]?.detail],
      [1, '"BTC" is not an instrument of this source'],
    );
  });

  test('fault 59: a candle that has not ended is forming, and opens at its interval', () => {
    const values = { open: 1, high: 2, low: 1, close: 2, volume: 1, trades: 0 };
    const candles: Protocol = {
      connected: () => [],
      read: (text, sink) => sink.candle('BTC', '1m', { time: START + Number(text), ...values }),
    };
    const set = setting({ protocol: candles });
    for (const at of [-60_000, -59_999, 0]) set.intake.take(String(at), START);
    assert.deepEqual(
      set.sent.map((command) => command.type === 'RecordCandle' && [command.candle.time - START, command.forming ?? false]),
      [
        [-60_000, false],
        [-60_000, false],
        [0, true],
      ],
    );
  });

  test('fault 32: a candle with contradictory prices is quarantined', () => {
    const candles: Protocol = {
      connected: () => [],
      read: (text, sink) => sink.candle('BTC', '1m', { time: START, volume: 1, trades: 0, ...JSON.parse(text) }),
    };
    const set = setting({ protocol: candles });
    for (const [open, high, low, close] of [
      [1, 1, 2, 1],
      [3, 2, 1, 1],
      [1, 2, 1, 3],
      [1, 2, 1, Number.NaN],
    ] as const)
      set.intake.take(JSON.stringify({ open, high, low, close }), START);
    assert.deepEqual([set.sent.filter(({ type }) => type === 'RecordCandle').length, set.intake.refusedBy.schema], [0, 4]);
  });

  test('while a zone is full, requests nothing, keeps its data in order, and continues when there is space', async () => {
    const set = setting();
    set.full = true;
    take(set, 1, 2);
    assert.deepEqual(set.readings, ['full']);
    set.full = false;
    take(set, 3);
    await set.clock.advance(10);
    assert.deepEqual(set.orders(), [1, 2, 3]);
    assert.deepEqual(set.readings, ['full', 'room']);
  });

  test('fault 68: a trade with a wild number is quarantined with its frame when later trades refute it', () => {
    const set = setting();
    take(set, 1, 2);
    const wild = frame(9e15, 3_000);
    set.intake.take(wild, START + 3_000);
    assert.equal(set.intake.quarantine.length, 0, 'nothing is known yet');
    take(set, 3);
    assert.deepEqual(set.orders(), [1, 2, 3]);
    const [refused] = set.intake.quarantine;
    assert.deepEqual([refused?.reason, refused?.frame], ['trade-number', wild]);
    assert.equal(
      refused?.detail,
      'the number of trade 9000000000000000 is far from its neighbours: the trades after it go on with the numbers before it',
    );
    assert.equal(set.sent.filter(({ type }) => type === 'RecordFault').length, 1);
  });

  test('reports a fault at most once per second, with its count', async () => {
    const set = setting({ checkClock: true });
    for (let n = 1; n <= 50; n++) set.intake.take(frame(n, -200_000), START);
    await set.clock.advance(1_100);
    const faults = set.sent.flatMap((command) => (command.type === 'RecordFault' ? [[command.fault, command.count]] : []));
    assert.deepEqual(faults, [
      ['clock-skew', 1],
      ['clock-skew', 49],
    ]);
  });
});
