import type { Candle, Level, Side, Trade } from '@millrace/contracts';
import { parseDigits } from '../digits.ts';
import { type History, isInGap, type Protocol, type Sink } from '../source.ts';

/*
 * Kraken, both generations of its WebSocket. v1: arrays, text numbers, pairs such as XBT/USD. v2: objects, JSON numbers,
 * pairs such as BTC/USD. Source: docs.kraken.com, "Spot WebSocket v1/v2", "Book checksum" and "Get recent trades".
 */

type Channel = 'trades' | 'quotes' | 'book' | 'candles';

const BOOK_DEPTH = 1_000;
const PAGE = 1_000;
const V1_NAME: Record<Channel, object> = {
  trades: { name: 'trade' },
  quotes: { name: 'ticker' },
  book: { name: 'book', depth: BOOK_DEPTH },
  candles: { name: 'ohlc', interval: 1 },
};
const V2_NAME: Record<Channel, object> = {
  trades: { channel: 'trade', snapshot: false },
  quotes: { channel: 'ticker' },
  book: { channel: 'book', depth: BOOK_DEPTH, snapshot: true },
  candles: { channel: 'ohlc', interval: 1, snapshot: false },
};

export function krakenSymbol(pair: string, version: 1 | 2): string {
  const symbol = pair.replace('-', '/');
  return version === 1 ? symbol.replace(/\bBTC\b/g, 'XBT').replace(/\bDOGE\b/g, 'XDG') : symbol;
}

/** `[price, volume, time, side, orderType, misc]` and, from REST, a trade id. */
type V1Trade = readonly [price: string, volume: string, time: string, side: 'b' | 's', ...rest: unknown[]];
type V1Level = readonly [price: string, volume: string, time: string, republished?: string];

export function krakenV1Protocol(symbols: readonly string[], channels: readonly Channel[]): Protocol {
  const subscribe = (pair: readonly string[], channel: Channel) =>
    JSON.stringify({ event: 'subscribe', pair, subscription: V1_NAME[channel] });
  return {
    connected: () => channels.map((channel) => subscribe(symbols, channel)),
    resync: (symbol) => [JSON.stringify({ event: 'unsubscribe', pair: [symbol], subscription: V1_NAME.book }), subscribe([symbol], 'book')],
    read(frame, sink) {
      const message = JSON.parse(frame) as unknown;
      if (Array.isArray(message)) return readV1(message, sink);
      const { event, errorMessage } = message as { event?: string; errorMessage?: string };
      if (errorMessage !== undefined) return sink.refused(`the venue refused a request: ${errorMessage}`);
      return event === undefined ? sink.refused('neither data nor an event') : sink.ignored(event);
    },
  };
}

/** `[channelId, data, …more data, channelName, pair]`. */
function readV1(message: unknown[], sink: Sink): void {
  const channel = String(message.at(-2));
  const symbol = String(message.at(-1));
  if (channel === 'trade') return readV1Trades(message[1] as V1Trade[], symbol, sink);
  if (channel === 'ticker') return readV1Ticker(message[1] as { a: string[]; b: string[] }, symbol, sink);
  if (channel.startsWith('book-')) return readV1Book(message.slice(1, -2) as V1BookPart[], channel, symbol, sink);
  if (channel.startsWith('ohlc-')) return sink.ignored('ohlc');
  sink.refused(`a message of the unknown channel "${channel}"`);
}

function readV1Trades(rows: readonly V1Trade[], symbol: string, sink: Sink): void {
  sink.consumed('trade');
  for (const trade of tradesOf(rows)) sink.trade(symbol, trade, false);
}

/**
 * Trades of v1 have no id. Their time has microseconds, so the id is made of their fields. Equal trades of one message are numbered, so
 * that none counts as a duplicate.
 */
function tradesOf(rows: readonly V1Trade[]): Trade[] {
  const seen = new Map<string, number>();
  return rows.map(([price, quantity, seconds, letter]) => {
    const side: Side = letter === 'b' ? 'buy' : 'sell';
    const micros = microsOf(seconds);
    const key = `${micros}:${price}:${quantity}:${letter}`;
    const repeat = seen.get(key) ?? 0;
    seen.set(key, repeat + 1);
    return { id: repeat === 0 ? key : `${key}:${repeat}`, order: micros, time: Math.floor(micros / 1_000), price, quantity, side };
  });
}

/** Converts decimal seconds, as text, to microseconds. A double could not hold them exactly. */
function microsOf(seconds: string): number {
  const [whole = '0', fraction = ''] = seconds.split('.');
  return Number(whole) * 1_000_000 + Number(fraction.slice(0, 6).padEnd(6, '0'));
}

function readV1Ticker({ a, b }: { a: string[]; b: string[] }, symbol: string, sink: Sink): void {
  sink.consumed('ticker');
  sink.quote(symbol, { bid: b[0] ?? '', bidQuantity: b[2] ?? '', ask: a[0] ?? '', askQuantity: a[2] ?? '' });
}

interface V1BookPart {
  readonly as?: V1Level[];
  readonly bs?: V1Level[];
  readonly a?: V1Level[];
  readonly b?: V1Level[];
  /** Checksum over the top ten after the update. */
  readonly c?: string;
}

function readV1Book(parts: readonly V1BookPart[], channel: string, symbol: string, sink: Sink): void {
  sink.consumed('book');
  const depth = Number(channel.slice('book-'.length));
  const [first] = parts;
  if (first?.as || first?.bs) {
    const asks = first.as ?? [];
    const bids = first.bs ?? [];
    return sink.bookReplaced(symbol, { time: newest([...asks, ...bids]), asks: asks.map(levelOf), bids: bids.map(levelOf), depth });
  }
  const asks = parts.flatMap((part) => part.a ?? []);
  const bids = parts.flatMap((part) => part.b ?? []);
  const checksum = parts.find((part) => part.c !== undefined)?.c;
  sink.bookUpdated(symbol, {
    time: newest([...asks, ...bids]),
    asks: asks.map(levelOf),
    bids: bids.map(levelOf),
    depth,
    ...(checksum !== undefined && { continuity: { checksum: Number(checksum) } }),
  });
}

function levelOf(level: V1Level): Level {
  return [level?.[0], level?.[1]];
}

function newest(levels: readonly V1Level[]): number {
  return levels.reduce((time, level) => Math.max(time, Math.floor(Number(level?.[2]) * 1_000)), 0);
}

interface V2Message {
  readonly channel?: string;
  readonly type?: 'snapshot' | 'update';
  readonly data?: Record<string, unknown>[];
  readonly method?: string;
  readonly success?: string | boolean;
  readonly error?: string;
}

export function krakenV2Protocol(symbols: readonly string[], channels: readonly Channel[]): Protocol {
  const request = (method: 'subscribe' | 'unsubscribe', symbol: readonly string[], channel: Channel) =>
    JSON.stringify({ method, params: { ...V2_NAME[channel], symbol } });
  /** The newest state of the open candle of each symbol. It is closed when the next one begins. */
  const newestCandles = new Map<string, Candle>();
  return {
    connected: () => {
      newestCandles.clear();
      return channels.map((channel) => request('subscribe', symbols, channel));
    },
    resync: (symbol) => [request('unsubscribe', [symbol], 'book'), request('subscribe', [symbol], 'book')],
    read(frame, sink) {
      const message = parseDigits(frame) as V2Message;
      if (message.error !== undefined) return sink.refused(`the venue refused a request: ${message.error}`);
      if (message.method !== undefined) return sink.ignored(message.method);
      const { channel, data = [] } = message;
      if (channel === 'trade') return readV2Trades(data, sink);
      if (channel === 'ticker') return readV2Ticker(data, sink);
      if (channel === 'book') return readV2Book(data, message.type === 'snapshot', sink);
      if (channel === 'ohlc') return readV2Candles(data, sink, newestCandles);
      return channel === undefined ? sink.refused('neither data nor a reply') : sink.ignored(channel);
    },
  };
}

function readV2Trades(data: readonly Record<string, unknown>[], sink: Sink): void {
  sink.consumed('trade');
  for (const row of data) {
    const id = String(row.trade_id);
    sink.trade(
      String(row.symbol),
      {
        id,
        order: Number(id),
        time: Date.parse(String(row.timestamp)),
        price: String(row.price),
        quantity: String(row.qty),
        side: row.side === 'buy' ? 'buy' : 'sell',
      },
      true,
    );
  }
}

function readV2Ticker(data: readonly Record<string, unknown>[], sink: Sink): void {
  sink.consumed('ticker');
  for (const row of data) {
    sink.quote(String(row.symbol), {
      ...(row.timestamp !== undefined && { time: Date.parse(String(row.timestamp)) }),
      bid: String(row.bid),
      bidQuantity: String(row.bid_qty),
      ask: String(row.ask),
      askQuantity: String(row.ask_qty),
    });
  }
}

function readV2Book(data: readonly Record<string, unknown>[], whole: boolean, sink: Sink): void {
  sink.consumed('book');
  for (const row of data) {
    const levels = (side: unknown) => ((side ?? []) as { price: string; qty: string }[]).map((level): Level => [level?.price, level?.qty]);
    const time = row.timestamp === undefined ? Date.now() : Date.parse(String(row.timestamp));
    const book = {
      time,
      bids: levels(row.bids),
      asks: levels(row.asks),
      depth: BOOK_DEPTH,
      continuity: { checksum: Number(row.checksum) },
    };
    if (whole) sink.bookReplaced(String(row.symbol), book);
    else sink.bookUpdated(String(row.symbol), book);
  }
}

function readV2Candles(data: readonly Record<string, unknown>[], sink: Sink, newest: Map<string, Candle>): void {
  sink.consumed('ohlc');
  for (const row of data) {
    const symbol = String(row.symbol);
    const time = Date.parse(String(row.interval_begin));
    const [open = 0, high = 0, low = 0, close = 0, volume = 0] = ['open', 'high', 'low', 'close', 'volume'].map((name) =>
      Number(row[name]),
    );
    const before = newest.get(symbol);
    if (before && before.time < time) sink.venueCandle(symbol, '1m', before, true);
    newest.set(symbol, { time, open, high, low, close, volume, trades: Number(row.trades) });
  }
}

export function krakenHistory(version: 1 | 2): History {
  return {
    /** Pages go forward from `since`, in nanoseconds. The first page repeats the last known trade, which is skipped. */
    async *trades(symbol, tradeGap, get) {
      const pair = encodeURIComponent(symbol);
      const { after, before } = tradeGap;
      let since = after && version === 1 ? `${after.order - 1}000` : `${(tradeGap.since - 1) * 1_000}000`;
      for (;;) {
        const answer = (await get(`/0/public/Trades?pair=${pair}&since=${since}&count=${PAGE}`, 'as-text')) as {
          error?: string[];
          result?: Record<string, unknown>;
        };
        if (answer.error && answer.error.length > 0) throw new Error(answer.error.join(', '));
        const { last, ...pairs } = answer.result ?? {};
        const rows = (Object.values(pairs)[0] ?? []) as V1Trade[];
        const page = version === 1 ? tradesOf(rows) : rows.map(numbered);
        const wanted = page.filter((trade) => isInGap(trade, tradeGap));
        if (wanted.length > 0) yield wanted;
        if (rows.length < PAGE || String(last) === since || (before && (page.at(-1)?.order ?? 0) >= before.order)) return;
        since = String(last);
      }
    },
  };
}

/** Id of a REST row, equal to that of the same trade in v2: the seventh field. */
function numbered(row: V1Trade): Trade {
  const id = String(row[6]);
  const [price, quantity, seconds, letter] = row;
  return { id, order: Number(id), time: Math.floor(microsOf(seconds) / 1_000), price, quantity, side: letter === 'b' ? 'buy' : 'sell' };
}
