import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candle, Mapping, Reading, Trade } from '@millrace/contracts';
import fc from 'fast-check';
import { parseDigits } from '../digits.ts';
import type { Protocol, Sink } from '../source.ts';
import { binanceProtocol, binanceUrl } from './binance.ts';
import { krakenSymbol, krakenV2Protocol } from './kraken.ts';
import { mappedProtocol, symbolsOf } from './mapped.ts';
import { SimulatedMarket } from './simulator.ts';
import { upbitHistory, upbitProtocol } from './upbit.ts';

/** Writes down what a protocol finds. */
/** What the sink answers to a trade. */
let isTaken = true;

function read(protocol: Protocol, frame: string | object): unknown[][] {
  const found: unknown[][] = [];
  const note =
    (name: string) =>
    (...what: unknown[]) => {
      found.push([name, ...what]);
      return isTaken;
    };
  const names = ['trade', 'quote', 'bookReplaced', 'bookUpdated', 'venueCandle', 'candle', 'reading', 'consumed', 'ignored', 'refused'];
  protocol.read(
    typeof frame === 'string' ? frame : JSON.stringify(frame),
    Object.fromEntries(names.map((name) => [name, note(name)])) as unknown as Sink,
  );
  return found;
}

describe('digits', () => {
  test('are kept as written, at any position', () => {
    assert.deepEqual(parseDigits('{"a":127.0,"b":[1E-7,-0.50 ],"c":"x:1,2]","d":"say \\"3,\\"","e":{"f":null,"g":true}}'), {
      a: '127.0',
      b: ['1E-7', '-0.50'],
      c: 'x:1,2]',
      d: 'say "3,"',
      e: { f: null, g: true },
    });
  });

  test('of any JSON are kept, and nothing else changes', () =>
    fc.assert(
      fc.property(fc.json(), (json) => {
        const message = JSON.stringify([JSON.parse(json)]);
        const expected = JSON.parse(message, (_key, value) => (typeof value === 'number' ? JSON.stringify(value) : value));
        assert.deepEqual(parseDigits(message), expected);
      }),
    ));
});

describe('binance', () => {
  test('puts the subscriptions into the URL', () => {
    assert.equal(
      binanceUrl('wss://stream.binance.com:9443/', ['BTCUSDT'], ['trades', 'candles']),
      'wss://stream.binance.com:9443/stream?streams=btcusdt@aggTrade/btcusdt@kline_1m',
    );
  });

  test('reports unknown and unreadable messages, and never throws for JSON', () => {
    const protocol = binanceProtocol('spot');
    assert.deepEqual(read(protocol, { stream: 'x', data: { e: 'forceOrder', s: 'X' } }), [['ignored', 'forceOrder']]);
    assert.deepEqual(read(protocol, { result: null, id: 1 }), [['ignored', 'reply']]);
    assert.equal(read(protocol, { error: { msg: 'no such stream' } })[0]?.[0], 'refused');
  });
});

describe('kraken v2', () => {
  const protocol = krakenV2Protocol(['BTC/USD'], ['trades', 'book']);

  test('keeps the digits of its JSON numbers, and the venue’s trade ids', () => {
    const frame =
      '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":26500.10,"qty":0.00500000,"ord_type":"market","trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"}]}';
    assert.deepEqual(read(protocol, frame), [
      ['consumed', 'trade'],
      [
        'trade',
        'BTC/USD',
        {
          id: '4665906',
          order: 4_665_906,
          time: Date.UTC(2023, 8, 25, 7, 49, 37, 708),
          price: '26500.10',
          quantity: '0.00500000',
          side: 'sell',
        },
        true,
      ],
    ]);
  });

  test('reads book snapshots and updates with their checksum', () => {
    const frame = (type: string) =>
      `{"channel":"book","type":"${type}","data":[{"symbol":"BTC/USD","bids":[{"price":0.5666,"qty":4831.75496356}],"asks":[],"checksum":2439117997,"timestamp":"2023-10-06T17:35:55.440295Z"}]}`;
    const [, [name, , book]] = read(protocol, frame('snapshot')) as [unknown, [string, string, { bids: unknown; continuity: unknown }]];
    assert.deepEqual([name, book.bids, book.continuity], ['bookReplaced', [['0.5666', '4831.75496356']], { checksum: 2_439_117_997 }]);
    assert.equal(read(protocol, frame('update'))[1]?.[0], 'bookUpdated');
  });

  test('uses its own symbols', () => {
    assert.deepEqual(
      [krakenSymbol('BTC-USD', 2), krakenSymbol('BTC-USD', 1), krakenSymbol('ETH-BTC', 1)],
      ['BTC/USD', 'XBT/USD', 'ETH/XBT'],
    );
    assert.deepEqual(read(protocol, { channel: 'heartbeat' }), [['ignored', 'heartbeat']]);
    assert.match(
      String(read(protocol, { method: 'subscribe', success: false, error: 'Currency pair not supported' })[0]?.[1]),
      /not supported/,
    );
  });
});

describe('upbit', () => {
  test('reads its history back to the first trade before the gap, if it has one', async () => {
    const rowAt = (timestamp: number) => ({
      sequential_id: `${timestamp}0001`,
      timestamp,
      trade_price: '1',
      trade_volume: '1',
      ask_bid: 'BID',
    });
    const read = async (times: number[]) => {
      const gap = { after: null, since: 1_700_000_000_010, before: null };
      const found: number[] = [];
      const get = async () => times.map((time) => rowAt(1_700_000_000_000 + time));
      for await (const page of upbitHistory().trades?.('KRW-BTC', gap, get) ?? [])
        found.push(...page.map(({ time }) => time - 1_700_000_000_000));
      return found;
    };
    assert.deepEqual(
      [await read([30, 20, 5, 4]), await read([30, 20])],
      [
        [5, 20, 30],
        [20, 30],
      ],
    );
  });

  test('reads the DEFAULT format as it reads SIMPLE', () => {
    const protocol = upbitProtocol(['KRW-BTC'], ['trades']);
    const simple =
      '{"ty":"trade","cd":"KRW-BTC","tms":1,"ttms":1730336862047,"tp":100473000.00000000,"tv":0.00014208,"ab":"BID","sid":17303368620470000}';
    const long =
      '{"type":"trade","code":"KRW-BTC","timestamp":1,"trade_timestamp":1730336862047,"trade_price":100473000.00000000,"trade_volume":0.00014208,"ask_bid":"BID","sequential_id":17303368620470000}';
    assert.deepEqual(read(protocol, long), read(protocol, simple));
    assert.deepEqual((read(protocol, long)[1]?.[2] as { price: string }).price, '100473000.00000000');
    const ordersOf = (counters: string[]) =>
      counters.map((counter) => (read(protocol, simple.replace('620470000', `62047${counter}`))[1]?.[2] as Trade).order);
    assert.deepEqual(ordersOf(['0009', '0010', '0011']), [9, 10, 11], 'a counter of four digits tells the order, too');
  });
});

describe('any JSON feed, by configuration alone', () => {
  const mappings: Mapping[] = [
    {
      as: 'trades',
      where: { 'head.kind': 'deal' },
      items: 'body',
      instrument: 'mkt',
      pairs: { XB: 'BTC-USD' },
      time: 'at',
      timeUnit: 's',
      fields: { price: 'px', quantity: 'sz', side: 'dir', id: 'no' },
    },
    {
      as: 'readings',
      where: { station: 'roof' },
      pair: 'ROOF-WEATHER',
      time: 'when',
      timeUnit: 'iso',
      fields: { temperature: 't', wind: 'w.speed' },
    },
  ];
  const protocol = mappedProtocol(mappings, { greetings: ['hello', { op: 'sub' }], now: () => 5 });

  test('subscribes, and finds trades by the mapping', () => {
    assert.deepEqual(protocol.connected(), ['hello', '{"op":"sub"}']);
    assert.deepEqual(symbolsOf(mappings), [
      { symbol: 'XB', pair: 'BTC-USD' },
      { symbol: 'ROOF-WEATHER', pair: 'ROOF-WEATHER' },
    ]);
    const frame = '{"head":{"kind":"deal"},"body":[{"mkt":"XB","at":1700000000.5,"px":100.10,"sz":0.010,"dir":"SELL","no":7}]}';
    assert.deepEqual(read(protocol, frame)[1], [
      'trade',
      'XB',
      { time: 1_700_000_000_500, price: '100.10', quantity: '0.010', side: 'sell', id: '7', order: 7 },
      false,
    ]);
  });

  test('accepts readings that are not market data', () => {
    const found = read(protocol, { station: 'roof', when: '2026-01-01T00:00:00Z', t: 21.5, w: { speed: 3 } });
    assert.deepEqual(
      found.slice(1).map(([, symbol, reading]) => [symbol, reading]),
      [
        ['ROOF-WEATHER', { time: Date.UTC(2026, 0, 1), name: 'temperature', value: 21.5 }],
        ['ROOF-WEATHER', { time: Date.UTC(2026, 0, 1), name: 'wind', value: 3 }],
      ],
    );
  });

  test('a blank or hexadecimal text is no number', () => {
    const readingOf = (t: unknown) => (read(protocol, { station: 'roof', when: '2026-01-01T00:00:00Z', t })[1]?.[2] as Reading).value;
    for (const text of ['', ' ', '\t', '\u00a0', '0x1F', '0b1', 'Infinity', '1,5', '.', 'true'])
      assert.ok(Number.isNaN(readingOf(text)), text);
    const numbers = [' 21.5 ', '-3', '+4', '.5', '6.', '7e-3', '8E+2', 9, -1.5e300].map(readingOf);
    assert.deepEqual(numbers, [21.5, -3, 4, 0.5, 6, 0.007, 800, 9, -1.5e300]);
  });

  const venue = (change: Partial<Mapping>, options: { ofDocument?: boolean } = {}) =>
    mappedProtocol(
      [
        {
          as: 'trades',
          items: 'data',
          pair: 'BTC-USD',
          time: 't',
          fields: { price: 'p', quantity: 'q', id: 'i', sequence: 's' },
          ...change,
        },
      ],
      { now: () => 5, ...options },
    );
  const trades = (protocol: Protocol, data: object[]) =>
    read(protocol, { data })
      .filter(([what]) => what === 'trade')
      .map(([, , trade]) => trade as Trade);

  test('trades of a document without times and ids are taken once while they are in it', () => {
    let now = 0;
    const mapping: Mapping = { as: 'trades', items: 'data', pair: 'A-B', fields: { price: 'p', quantity: 'q' } };
    const protocol = mappedProtocol([mapping], { now: () => ++now, ofDocument: true });
    const pricesOf = (...prices: number[]) =>
      trades(
        protocol,
        prices.map((p) => ({ p, q: 1 })),
      ).map(({ price }) => price);
    assert.deepEqual(
      [pricesOf(1), pricesOf(1), pricesOf(1, 1), pricesOf(1, 1), pricesOf(2), pricesOf(1)],
      [['1'], [], ['1'], [], ['2'], ['1']],
    );
  });

  test('repeated items of a document are ignored; refused ones are tried again', () => {
    const [first, second, third] = ['1', '2', '3'].map((i, index) => ({ t: 1_700_000_000_000 + index, p: '1', q: '1', i }));
    const protocol = venue({}, { ofDocument: true });
    const idsOf = (data: unknown[]) => trades(protocol, data as object[]).map(({ id }) => id);
    assert.deepEqual(idsOf([first, second]), ['1', '2']);
    assert.deepEqual(idsOf([second, third]), ['3']);
    assert.deepEqual(idsOf([second, third]), []);
    // It has left the document, and comes back.
    assert.deepEqual(idsOf([first]), ['1']);
    isTaken = false;
    assert.deepEqual(idsOf([second]), ['2']);
    assert.deepEqual(idsOf([second]), ['2']);
    isTaken = true;
    const candles = venue(
      { as: 'candles', interval: '1m', fields: { open: 'p', high: 'p', low: 'p', close: 'p', volume: 'q' } },
      { ofDocument: true },
    );
    const closes = (data: object[]) =>
      read(candles, { data }).flatMap(([what, , , candle]) => (what === 'candle' ? [(candle as Candle).close] : []));
    assert.deepEqual(closes([{ t: 60_000, p: '1', q: '1' }]), [1]);
    assert.deepEqual(
      closes([
        { t: 60_000, p: '1', q: '1' },
        { t: 120_000, p: '2', q: '1' },
      ]),
      [2],
    );
    assert.deepEqual(
      closes([
        { t: 60_000, p: '3', q: '1' },
        { t: 120_000, p: '2', q: '1' },
      ]),
      [3],
    );
    const readings = venue({ as: 'readings', fields: { warmth: 'p' } }, { ofDocument: true });
    const values = (data: object[]) =>
      read(readings, { data }).flatMap(([what, , reading]) => (what === 'reading' ? [(reading as Reading).value] : []));
    assert.deepEqual(
      values([
        { t: 1, p: '7' },
        { t: 2, p: '8' },
      ]),
      [7, 8],
    );
    assert.deepEqual(
      values([
        { t: 1, p: '7' },
        { t: 2, p: '8' },
        { t: 3, p: '8' },
      ]),
      [8],
    );
    const stream = venue({});
    assert.deepEqual([trades(stream, [first] as object[]).length, trades(stream, [first] as object[]).length], [1, 1]);
  });

  test('fault 31: trades of one time are ordered by sequence, digits of the time, ascending ids, or arrival', () => {
    const [first, second, third] = ['1', '2', '3'].map((i, index) => ({ t: 1_700_000_000_000, p: '1', q: '1', i, s: 9 - index }));
    assert.deepEqual(
      trades(venue({}), [first, second, third] as object[]).map(({ order }) => order),
      [9, 8, 7],
    );
    const wrongTime = venue({ fields: { price: 'p', quantity: 'q', id: 'i' } });
    const ordersOf = (data: object[]) => trades(wrongTime, data).map(({ order }) => order);
    assert.deepEqual(ordersOf([{ t: 1_700_000_000_000, p: '1', q: '1', i: '1' }]), [1]);
    isTaken = false;
    ordersOf([{ t: 1_900_000_000_000, p: '1', q: '1', i: '2' }]);
    isTaken = true;
    assert.deepEqual(ordersOf([{ t: 1_700_000_000_001, p: '1', q: '1', i: '2' }]), [2], 'a refused time says nothing of the others');
    const noSequence = { fields: { price: 'p', quantity: 'q', id: 'i' } };
    assert.deepEqual(
      trades(venue(noSequence), [first, second] as object[]).map(({ order }) => order),
      [1, 2],
    );
    const micros = [5, 0, 3].map((micro) => ({ t: `1700000000123${String(micro).padStart(3, '0')}`, p: '1', q: '1', i: 'x' }));
    assert.deepEqual(
      trades(venue({ ...noSequence, timeUnit: 'us' }), micros).map(({ time, order }) => [time, order]),
      [5_000, 0, 3_000].map((nanos) => [1_700_000_000_123, nanos]),
    );
    const falling = venue(noSequence);
    const jumbled = trades(falling, [
      { t: 1, p: '1', q: '1', i: '9' },
      { t: 2, p: '1', q: '1', i: '4' },
      { t: 2, p: '1', q: '1', i: '7' },
    ]);
    assert.deepEqual(
      jumbled.map(({ order }) => order),
      [9, 0, 0],
    );
  });

  test('fault 31: a message with the newest trade first is read from its end', () => {
    const data = [3, 2, 2, 1].map((t, index) => ({ t, p: String(index + 1), q: '1' }));
    const found = trades(venue({ fields: { price: 'p', quantity: 'q' } }), data);
    assert.deepEqual(
      found.map(({ time, price }) => [time, price]),
      [
        [1, '4'],
        [2, '3'],
        [2, '2'],
        [3, '1'],
      ],
    );
  });

  test('fault 66: equal trades without ids are as many as there are in the message', () => {
    const one = { t: 1, p: '1', q: '1' };
    const protocol = venue({ fields: { price: 'p', quantity: 'q' } });
    const first = trades(protocol, [one, one, one]).map(({ id }) => id);
    assert.equal(new Set(first).size, 3);
    assert.deepEqual(
      trades(protocol, [one, one]).map(({ id }) => id),
      first.slice(0, 2),
      'those of a message that is asked for again are the same',
    );
  });

  test('fault 32: fields outside of the items are read from the root; a candle without a field is refused', () => {
    const beside = venue({ instrument: '$.pair', time: '$.head.at', timeUnit: 's' });
    const message = { pair: 'btcusd', head: { at: '1700000000.25' }, data: { p: '10', q: '1', i: '1' } };
    assert.deepEqual(read(beside, message)[1]?.slice(0, 2), ['trade', 'btcusd']);
    assert.equal((read(beside, message)[1]?.[2] as Trade).time, 1_700_000_000_250);
    const candles = venue({ as: 'candles', fields: { open: 'o', high: 'h', low: 'l', close: 'c', volume: 'v' } });
    const [, , interval, candle] = read(candles, { data: [{ t: 60_000, o: 1, h: 2, l: 1, v: 3 }] })[1] ?? [];
    assert.equal(interval, '1m');
    assert.ok(Number.isNaN((candle as Candle).close));
  });

  test('reports messages without a mapping or without items', () => {
    assert.deepEqual(read(protocol, { other: 1 }), [['ignored', 'unmapped']]);
    assert.deepEqual(read(protocol, { head: { kind: 'deal' } }), [['refused', 'no items at path "body"']]);
  });
});

describe('the simulated market', () => {
  test('is deterministic for a seed', () => {
    const run = (seed: number) => {
      const market = new SimulatedMarket('BTC-USDT', seed, 1_000, 4);
      return Array.from({ length: 200 }, () => market.next());
    };
    assert.deepEqual(run(1), run(1));
    assert.notDeepEqual(run(1), run(2));
  });

  test('is plausible: times rise, prices are positive, bid below ask', () => {
    const market = new SimulatedMarket('ETH-USDT', 3, 1_000, 50);
    let before = 0;
    for (let count = 0; count < 20_000; count++) {
      const { t, p, bid, ask } = market.next();
      assert.ok(t >= before && Number(p) > 0 && Number(bid) < Number(ask));
      before = t;
    }
  });
});
