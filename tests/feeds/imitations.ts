import { crc32 } from 'node:zlib';
import { parseRecordedLine, type RecordedLine } from '@millrace/collector';

/*
 * Frames of five venues for half a minute of a simulated market, in the documented formats, for clones without recordings. Deterministic.
 */

export type Imitated = 'binance' | 'binance-futures' | 'coinbase' | 'kraken-trades' | 'kraken-quotes' | 'kraken-book' | 'upbit';

const START_MS = Date.UTC(2026, 0, 5, 8, 59, 48);
const SPAN_MS = 32_000;
const MARKETS = [
  { base: 'AAA', quote: 'USDT', tick: 4, price: 12_345 },
  { base: 'BBB', quote: 'USDT', tick: 2, price: 987_654 },
  { base: 'CCC', quote: 'EUR', tick: 6, price: 35_210 },
] as const;
const LEVELS = 25;
/** Mean interval between frames of each kind. */
const STEP_MS = 25;

type Side = 'buy' | 'sell';
type Level = readonly [price: string, quantity: string];

interface Trade {
  readonly pair: readonly [base: string, quote: string];
  readonly number: number;
  readonly time: number;
  readonly price: string;
  readonly quantity: string;
  readonly side: Side;
}

interface Change {
  readonly pair: readonly [base: string, quote: string];
  /** Number of the newest book update of the pair, from 1. */
  readonly number: number;
  readonly time: number;
  readonly side: Side;
  /** Quantity "0" removes the level. */
  readonly level: Level;
  readonly book: Book;
}

interface Book {
  readonly buy: Map<string, string>;
  readonly sell: Map<string, string>;
}

/** The format of one venue. */
interface Format {
  readonly url: string;
  /** Messages of the client, and their responses. */
  readonly opening: (pairs: readonly (readonly [string, string])[]) => { readonly sent: string[]; readonly received: string[] };
  readonly whole?: (pair: readonly [string, string], book: Book, time: number) => string;
  readonly trade?: (trade: Trade) => string;
  readonly change?: (change: Change) => string;
  readonly quote?: (change: Change) => string;
  readonly binary?: true;
}

/** Lines of a recording, as in its file. */
export function imitationOf(venue: Imitated): RecordedLine[] {
  const format = FORMATS[venue];
  const pairs = MARKETS.map(({ base, quote }) => [base, quote] as const);
  const { sent, received } = format.opening(pairs);
  const seconds = (time: number) => (time / 1_000).toFixed(6);
  const lines = [`${format.url} <-> ${seconds(START_MS)}`];
  for (const text of sent) lines.push(`${format.url.split('?')[0]} <- ${seconds(START_MS + 1)}: ${text}`);
  const receive = (time: number, text: string | undefined) => {
    if (text !== undefined) lines.push(`${seconds(time + 20)}: ${format.binary ? `b'${text}'` : text}`);
  };
  for (const text of received) receive(START_MS + 2, text);

  const random = numbers(venue.length * 7_919);
  const markets = MARKETS.map((market) => openMarket(market, random));
  for (const { pair, book } of markets) receive(START_MS + 3, format.whole?.(pair, book, START_MS + 3));
  for (let time = START_MS + STEP_MS; time < START_MS + SPAN_MS; time += STEP_MS) {
    const market = markets[Math.floor(random() * markets.length)] as Market;
    if (random() < 0.35) receive(time, format.trade?.(market.trade(time)));
    else {
      const change = market.change(time);
      receive(time, format.change?.(change));
      if (random() < 0.2) receive(time + 1, format.quote?.(change));
    }
  }
  return lines.map(parseRecordedLine).filter((line): line is RecordedLine => line !== undefined);
}

interface Market {
  readonly pair: readonly [string, string];
  readonly book: Book;
  trade(time: number): Trade;
  change(time: number): Change;
}

function openMarket({ base, quote, tick, price: opening }: (typeof MARKETS)[number], random: () => number): Market {
  const pair = [base, quote] as const;
  const book: Book = { buy: new Map(), sell: new Map() };
  const text = (ticks: number) => `${Math.floor(ticks / 10 ** tick)}.${String(ticks % 10 ** tick).padStart(tick, '0')}`;
  const quantity = () => (random() * 900 + 0.001).toFixed(8);
  let middle: number = opening;
  let trades = 41_000;
  let changes = 0;
  const level = (side: Side, distance: number) => text(side === 'buy' ? middle - distance : middle + distance);
  for (let distance = 1; distance <= LEVELS; distance++) {
    book.buy.set(level('buy', distance), quantity());
    book.sell.set(level('sell', distance), quantity());
  }
  return {
    pair,
    book,
    trade: (time) => {
      const side = random() < 0.5 ? 'buy' : 'sell';
      middle += Math.floor(random() * 3) - 1;
      return { pair, number: ++trades, time, price: text(middle), quantity: quantity(), side };
    },
    change: (time) => {
      const side = random() < 0.5 ? 'buy' : 'sell';
      const levels = book[side];
      const known = [...levels.keys()];
      const isTaken = levels.size > LEVELS && random() < 0.5;
      const at = isTaken ? (known[Math.floor(random() * known.length)] as string) : freshLevel(side);
      const put = isTaken ? '0' : quantity();
      if (isTaken) levels.delete(at);
      else levels.set(at, put);
      return { pair, number: ++changes, time, side, level: [at, put], book };
    },
  };

  /** A price that does not cross the other side. */
  function freshLevel(side: Side): string {
    const others = [...book[side === 'buy' ? 'sell' : 'buy'].keys()].map((known) => Math.round(Number(known) * 10 ** tick));
    const best = side === 'buy' ? Math.min(...others) : Math.max(...others);
    const distance = 1 + Math.floor(random() * LEVELS * 2);
    return text(side === 'buy' ? best - distance : best + distance);
  }
}

/** Levels, best first. */
function sorted(book: Book, side: Side): Level[] {
  const sign = side === 'buy' ? -1 : 1;
  return [...book[side]].sort(([a], [b]) => sign * (Number(a) - Number(b)));
}

/** Pseudo-random numbers in [0, 1), equal for equal seeds (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** https://docs.kraken.com/api/docs/guides/spot-ws-book-v1: CRC32 of the ten best asks and bids, digits only, without zeros in front. */
function krakenChecksum(book: Book): string {
  const digits = (text: string) => text.replace('.', '').replace(/^0+/, '');
  const side = (name: Side) =>
    sorted(book, name)
      .slice(0, 10)
      .map(([price, quantity]) => digits(price) + digits(quantity))
      .join('');
  return String(crc32(side('sell') + side('buy')));
}

const micros = (time: number) => `${(time / 1_000).toFixed(6)}`;
const krakenPair = ([base, quote]: readonly [string, string]) => `${base}/${quote}`;
const krakenLevel = ([price, quantity]: Level, time: number) => [price, quantity === '0' ? '0.00000000' : quantity, micros(time)];

function kraken(name: string, subscription: object, rest: Pick<Format, 'whole' | 'trade' | 'change' | 'quote'>): Format {
  return {
    url: 'wss://ws.kraken.com',
    opening: (pairs) => ({
      sent: [JSON.stringify({ event: 'subscribe', pair: pairs.map(krakenPair), subscription })],
      received: [
        '{"connectionID":1,"event":"systemStatus","status":"online","version":"1.8.3"}',
        ...pairs.map((pair, channelID) =>
          JSON.stringify({
            channelID,
            channelName: name,
            event: 'subscriptionStatus',
            pair: krakenPair(pair),
            status: 'subscribed',
            subscription,
          }),
        ),
        '{"event":"heartbeat"}',
      ],
    }),
    ...rest,
  };
}

function binance(url: string, isFutures: boolean): Format {
  const symbol = ([base, quote]: readonly [string, string]) => `${base}${quote}`;
  const frame = (pair: readonly [string, string], stream: string, data: object) =>
    JSON.stringify({ stream: `${symbol(pair).toLowerCase()}@${stream}`, data });
  const minute = 60_000;
  return {
    url: `${url}?streams=${MARKETS.flatMap(({ base, quote }) =>
      ['depth@100ms', 'bookTicker', 'kline_1m', 'aggTrade'].map((stream) => `${symbol([base, quote]).toLowerCase()}@${stream}`),
    ).join('/')}`,
    opening: () => ({ sent: [], received: [] }),
    trade: ({ pair, number, time, price, quantity, side }) =>
      frame(pair, 'aggTrade', {
        e: 'aggTrade',
        E: time + 3,
        s: symbol(pair),
        a: number,
        p: price,
        q: quantity,
        f: number,
        l: number,
        T: time,
        m: side === 'sell',
        ...(!isFutures && { M: true }),
      }),
    change: ({ pair, number, time, side, level: [price, quantity] }) =>
      frame(pair, 'depth@100ms', {
        e: 'depthUpdate',
        E: time,
        ...(isFutures && { T: time - 5 }),
        s: symbol(pair),
        U: number * 3 - 2,
        u: number * 3,
        ...(isFutures && { pu: number * 3 - 3 }),
        b: side === 'buy' ? [[price, quantity]] : [],
        a: side === 'sell' ? [[price, quantity]] : [],
      }),
    quote: ({ pair, number, time, book }) => {
      const [[bid, bidQuantity] = ['0', '0']] = sorted(book, 'buy');
      const [[ask, askQuantity] = ['0', '0']] = sorted(book, 'sell');
      if (number % 4 > 0) {
        const told = { u: number * 3, s: symbol(pair), b: bid, B: bidQuantity, a: ask, A: askQuantity };
        return frame(pair, 'bookTicker', isFutures ? { e: 'bookTicker', ...told, T: time, E: time + 4 } : told);
      }
      const opening = time - (time % minute);
      const k = {
        t: opening,
        T: opening + minute - 1,
        s: symbol(pair),
        i: '1m',
        f: 1,
        L: number,
        o: bid,
        c: ask,
        h: ask,
        l: bid,
        v: bidQuantity,
        n: 1,
      };
      return frame(pair, 'kline_1m', { e: 'kline', E: time, s: symbol(pair), k: { ...k, x: false, q: '1.0', V: '1.0', Q: '1.0', B: '0' } });
    },
  };
}

const coinbaseTime = (time: number) => new Date(time).toISOString().replace('Z', '000Z');
const product = ([base, quote]: readonly [string, string]) => `${base}-${quote}`;
const upbitCode = ([base, quote]: readonly [string, string]) => `${quote}-${base}`;

const FORMATS: Readonly<Record<Imitated, Format>> = {
  binance: binance('wss://stream.binance.com:9443/stream', false),
  'binance-futures': binance('wss://fstream.binance.com/stream', true),
  coinbase: {
    url: 'wss://ws-feed.exchange.coinbase.com',
    opening: (pairs) => ({
      sent: ['level2', 'ticker', 'matches'].map((name) =>
        JSON.stringify({ type: 'subscribe', product_ids: pairs.map(product), channels: [name] }),
      ),
      received: [JSON.stringify({ type: 'subscriptions', channels: [{ name: 'level2', product_ids: pairs.map(product) }] })],
    }),
    whole: (pair, book) =>
      JSON.stringify({ type: 'snapshot', product_id: product(pair), asks: sorted(book, 'sell'), bids: sorted(book, 'buy') }),
    // The side of the maker.
    trade: ({ pair, number, time, price, quantity, side }) =>
      JSON.stringify({
        type: 'match',
        trade_id: number,
        maker_order_id: '2a0da34e-61f7-4c36-88e5-c9dd15927b16',
        taker_order_id: '3c82abaa-c01e-4608-be59-6a1e69742891',
        side: side === 'buy' ? 'sell' : 'buy',
        size: quantity,
        price,
        product_id: product(pair),
        sequence: number * 2,
        time: coinbaseTime(time),
      }),
    change: ({ pair, time, side, level }) =>
      JSON.stringify({ type: 'l2update', product_id: product(pair), changes: [[side, ...level]], time: coinbaseTime(time) }),
    quote: ({ pair, number, time, book }) => {
      const [[bid] = ['0']] = sorted(book, 'buy');
      const [[ask] = ['0']] = sorted(book, 'sell');
      return JSON.stringify({
        type: 'ticker',
        sequence: number,
        product_id: product(pair),
        price: bid,
        open_24h: bid,
        volume_24h: '1.0',
        low_24h: bid,
        high_24h: ask,
        volume_30d: '1.0',
        best_bid: bid,
        best_ask: ask,
        side: 'buy',
        time: coinbaseTime(time),
        trade_id: number,
        last_size: '0.04',
      });
    },
  },
  'kraken-trades': kraken(
    'trade',
    { name: 'trade' },
    {
      trade: ({ pair, number, time, price, quantity, side }) =>
        JSON.stringify([
          number % 3,
          [[price, quantity, micros(time + (number % 1_000) / 1_000), side === 'buy' ? 'b' : 's', 'l', '']],
          'trade',
          krakenPair(pair),
        ]),
    },
  ),
  'kraken-quotes': kraken(
    'ticker',
    { name: 'ticker' },
    {
      quote: ({ pair, book }) => {
        const [[bid, bidQuantity] = ['0', '0']] = sorted(book, 'buy');
        const [[ask, askQuantity] = ['0', '0']] = sorted(book, 'sell');
        const day = ['1.0', '1.0'];
        const told = {
          a: [ask, 1, askQuantity],
          b: [bid, 1, bidQuantity],
          c: [bid, '1.0'],
          v: day,
          p: day,
          t: [1, 1],
          l: day,
          h: day,
          o: day,
        };
        return JSON.stringify([1, told, 'ticker', krakenPair(pair)]);
      },
    },
  ),
  'kraken-book': kraken(
    'book-1000',
    { name: 'book', depth: 1000 },
    {
      whole: (pair, book, time) => {
        const levels = (side: Side) => sorted(book, side).map((level) => krakenLevel(level, time));
        return JSON.stringify([1, { as: levels('sell'), bs: levels('buy') }, 'book-1000', krakenPair(pair)]);
      },
      change: ({ pair, time, side, level, book }) =>
        JSON.stringify([
          1,
          { [side === 'sell' ? 'a' : 'b']: [krakenLevel(level, time)], c: krakenChecksum(book) },
          'book-1000',
          krakenPair(pair),
        ]),
    },
  ),
  upbit: {
    url: 'wss://api.upbit.com/websocket/v1',
    binary: true,
    opening: (pairs) => ({
      sent: [
        JSON.stringify([
          { ticket: 'imitation' },
          { format: 'SIMPLE' },
          ...['trade', 'orderbook'].map((type) => ({ type, codes: pairs.map(upbitCode), isOnlyRealtime: true })),
        ]),
      ],
      received: [],
    }),
    // Numbers keep their digits.
    trade: ({ pair, number, time, price, quantity, side }) =>
      `{"ty":"trade","cd":"${upbitCode(pair)}","tms":${time + 9},"td":"2026-01-05","ttm":"08:59:48","ttms":${time},"tp":${price},"tv":${quantity},` +
      `"ab":"${side === 'buy' ? 'BID' : 'ASK'}","pcp":${price},"c":"RISE","cp":0.0,"sid":${time}${String(number % 1_000).padStart(4, '0')},"st":"REALTIME"}`,
    change: ({ pair, time, book }) => {
      const asks = sorted(book, 'sell');
      const units = sorted(book, 'buy')
        .slice(0, 15)
        .map(([price, quantity], index) => {
          const [ask, askQuantity] = asks[index] as Level;
          return `{"ap":${ask},"bp":${price},"as":${askQuantity},"bs":${quantity}}`;
        });
      return `{"ty":"orderbook","cd":"${upbitCode(pair)}","tms":${time},"tas":1.0,"tbs":1.0,"obu":[${units.join(',')}],"st":"REALTIME"}`;
    },
  },
};
