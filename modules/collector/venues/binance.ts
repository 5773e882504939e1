import { type Candle, INTERVAL_MS, INTERVALS, isInterval, type Level } from '@millrace/contracts';
import type { GetJson, History, Protocol, Sink, TradeGap } from '../source.ts';

/*
 * Binance spot and USD-M futures: combined streams of aggTrade, bookTicker, depth and kline.
 * Source: developers.binance.com, "WebSocket Streams" and "Market Data endpoints" of both products.
 */

type Market = 'spot' | 'futures';
type Channel = 'trades' | 'quotes' | 'book' | 'candles';

const STREAM: Record<Channel, string> = { trades: '@aggTrade', quotes: '@bookTicker', book: '@depth@100ms', candles: '@kline_1m' };
/** Maximum number of trades in a page of history. */
const PAGE = 1_000;
const BOOK_DEPTH = 1_000;

export function binanceSymbol(pair: string): string {
  return pair.replace('-', '');
}

/** The subscriptions are part of the URL: no message is needed after connecting. */
export function binanceUrl(base: string, symbols: readonly string[], channels: readonly Channel[]): string {
  const streams = symbols.flatMap((symbol) => channels.map((channel) => symbol.toLowerCase() + STREAM[channel]));
  return `${base.replace(/\/+$/, '')}/stream?streams=${streams.join('/')}`;
}

interface AggTrade {
  readonly e: 'aggTrade';
  readonly s: string;
  readonly a: number;
  readonly p: string;
  readonly q: string;
  readonly T: number;
  /** Whether the buyer was the maker; then the taker sold. */
  readonly m: boolean;
}

interface DepthUpdate {
  readonly e: 'depthUpdate';
  readonly s: string;
  readonly E: number;
  readonly T?: number;
  readonly U: number;
  readonly u: number;
  readonly pu?: number;
  readonly b: Level[];
  readonly a: Level[];
}

interface BookTicker {
  readonly u: number;
  readonly s: string;
  readonly b: string;
  readonly B: string;
  readonly a: string;
  readonly A: string;
  /** Futures only. */
  readonly T?: number;
}

interface Kline {
  readonly e: 'kline';
  readonly s: string;
  readonly k: {
    readonly t: number;
    readonly i: string;
    readonly o: string;
    readonly h: string;
    readonly l: string;
    readonly c: string;
    readonly v: string;
    readonly n: number;
    readonly x: boolean;
  };
}

export function binanceProtocol(market: Market): Protocol {
  return {
    connected: () => [],
    read(frame, sink) {
      const message = JSON.parse(frame) as { stream?: string; data?: unknown; result?: null; error?: { msg?: string } };
      const data = message.data;
      if (data === undefined || data === null || typeof data !== 'object') {
        if (message.error) return sink.refused(`the venue refused a request: ${message.error.msg ?? frame.slice(0, 200)}`);
        return 'result' in message ? sink.ignored('reply') : sink.refused('neither a stream nor a reply');
      }
      const { e: kind } = data as { e?: string };
      if (kind === 'aggTrade') return readTrade(data as AggTrade, sink);
      if (kind === 'depthUpdate') return readDepth(data as DepthUpdate, market, sink);
      if (kind === 'kline') return readKline(data as Kline, sink);
      if (kind === 'bookTicker' || (kind === undefined && 'B' in data)) return readTicker(data as BookTicker, sink);
      sink.ignored(kind ?? 'unnamed');
    },
  };
}

function readTrade({ s, a, p, q, T, m }: AggTrade, sink: Sink): void {
  sink.consumed('aggTrade');
  sink.trade(s, { id: String(a), order: a, time: T, price: p, quantity: q, side: m ? 'sell' : 'buy' }, true);
}

function readTicker({ s, b, B, a, A, T }: BookTicker, sink: Sink): void {
  sink.consumed('bookTicker');
  // Spot tickers have no time.
  sink.quote(
    s,
    T === undefined ? { bid: b, bidQuantity: B, ask: a, askQuantity: A } : { time: T, bid: b, bidQuantity: B, ask: a, askQuantity: A },
  );
}

function readDepth({ s, E, T, U, u, pu, b, a }: DepthUpdate, market: Market, sink: Sink): void {
  sink.consumed('depthUpdate');
  const continuity = market === 'futures' && pu !== undefined ? { first: U, last: u, previous: pu } : { first: U, last: u };
  sink.bookUpdated(s, { time: T ?? E, bids: b, asks: a, continuity });
}

function readKline({ s, k }: Kline, sink: Sink): void {
  sink.consumed('kline');
  if (!isInterval(k.i)) return;
  const candle = {
    time: k.t,
    open: Number(k.o),
    high: Number(k.h),
    low: Number(k.l),
    close: Number(k.c),
    volume: Number(k.v),
    trades: k.n,
  };
  sink.venueCandle(s, k.i, candle, k.x);
}

export function binanceHistory(market: Market): History {
  const root = market === 'spot' ? '/api/v3' : '/fapi/v1';
  return {
    async *trades(symbol, { after, since, before }: TradeGap, get: GetJson) {
      let from = after ? `fromId=${after.order + 1}` : `startTime=${since}`;
      for (;;) {
        const page = (await get(`${root}/aggTrades?symbol=${symbol}&${from}&limit=${PAGE}`)) as Omit<AggTrade, 'e' | 's'>[];
        const wanted = before === null ? page : page.filter(({ a }) => a < before.order);
        if (wanted.length > 0)
          yield wanted.map(({ a, p, q, T, m }) => ({
            id: String(a),
            order: a,
            time: T,
            price: p,
            quantity: q,
            side: m ? ('sell' as const) : ('buy' as const),
          }));
        const last = page.at(-1);
        if (!last || page.length < PAGE || wanted.length < page.length) return;
        from = `fromId=${last.a + 1}`;
      }
    },
    candles: {
      intervals: INTERVALS.filter((interval) => INTERVAL_MS[interval] >= INTERVAL_MS['1m']),
      async read(symbol, interval, from, to, get) {
        const rows = (await get(
          `${root}/klines?symbol=${symbol}&interval=${interval}&startTime=${from}&endTime=${to - 1}&limit=${PAGE}`,
        )) as [number, string, string, string, string, string, number, string, number][];
        return rows.map(([time, open, high, low, close, volume, , , trades]) => candleOf(time, [open, high, low, close, volume], trades));
      },
    },
    async book(symbol, get) {
      const book = (await get(`${root}/depth?symbol=${symbol}&limit=${BOOK_DEPTH}`)) as {
        lastUpdateId: number;
        bids: Level[];
        asks: Level[];
        T?: number;
      };
      return { time: book.T ?? Date.now(), bids: book.bids, asks: book.asks, continuity: { last: book.lastUpdateId } };
    },
  };
}

function candleOf(time: number, values: readonly string[], trades: number): Candle {
  const [open = 0, high = 0, low = 0, close = 0, volume = 0] = values.map(Number);
  return { time, open, high, low, close, volume, trades };
}
