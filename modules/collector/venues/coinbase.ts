import type { Level, Side, Trade } from '@millrace/contracts';
import { type GetJson, type History, isInGap, type Protocol, type Sink, type TradeGap } from '../source.ts';
import { LOST_TRADES_MAX } from '../trade-numbers.ts';

/*
 * Coinbase Exchange: matches, ticker and level2_batch, the level2 channel that needs no account.
 * Source: docs.cdp.coinbase.com, "Exchange WebSocket Channels" and "Get product trades".
 */

type Channel = 'trades' | 'quotes' | 'book' | 'candles';

const CHANNEL: Partial<Record<Channel, string>> = { trades: 'matches', quotes: 'ticker', book: 'level2_batch' };
const PAGE = 1_000;

interface Match {
  readonly type: 'match' | 'last_match';
  readonly trade_id: number;
  /** Side of the maker; the taker is on the other. */
  readonly side: 'buy' | 'sell';
  readonly size: string;
  readonly price: string;
  readonly product_id: string;
  readonly time: string;
}

interface Ticker {
  readonly product_id: string;
  readonly best_bid: string;
  readonly best_bid_size?: string;
  readonly best_ask: string;
  readonly best_ask_size?: string;
  readonly time?: string;
}

export function coinbaseProtocol(symbols: readonly string[], channels: readonly Channel[], now: () => number = Date.now): Protocol {
  const names = channels.map((channel) => CHANNEL[channel]).filter((name) => name !== undefined);
  return {
    connected: () => [JSON.stringify({ type: 'subscribe', product_ids: symbols, channels: names })],
    resync: (symbol) =>
      ['unsubscribe', 'subscribe'].map((type) => JSON.stringify({ type, product_ids: [symbol], channels: ['level2_batch'] })),
    read(frame, sink) {
      const message = JSON.parse(frame) as { type?: string; message?: string; reason?: string };
      switch (message.type) {
        case 'match':
        case 'last_match':
          return readMatch(message as unknown as Match, sink);
        case 'ticker':
          return readTicker(message as unknown as Ticker, sink);
        case 'l2update':
          return readUpdate(message as unknown as { product_id: string; time: string; changes: ['buy' | 'sell', string, string][] }, sink);
        case 'snapshot': {
          const { product_id, bids, asks } = message as unknown as { product_id: string; bids: Level[]; asks: Level[] };
          sink.consumed('snapshot');
          return sink.bookReplaced(product_id, { time: now(), bids, asks });
        }
        case 'error':
          return sink.refused(`the venue refused a request: ${message.message ?? ''} ${message.reason ?? ''}`.trim());
        case 'subscriptions':
        case 'heartbeat':
        case 'status':
          return sink.ignored(message.type);
        default:
          return message.type === undefined ? sink.refused('a message without a type') : sink.ignored(message.type);
      }
    },
  };
}

function readMatch({ type, trade_id, side, size, price, product_id, time }: Match, sink: Sink): void {
  sink.consumed(type);
  sink.trade(
    product_id,
    { id: String(trade_id), order: trade_id, time: Date.parse(time), price, quantity: size, side: takerOf(side) },
    true,
  );
}

function readTicker({ product_id, best_bid, best_bid_size, best_ask, best_ask_size, time }: Ticker, sink: Sink): void {
  sink.consumed('ticker');
  const quote = { bid: best_bid, bidQuantity: best_bid_size ?? '0', ask: best_ask, askQuantity: best_ask_size ?? '0' };
  sink.quote(product_id, { ...(time !== undefined && { time: Date.parse(time) }), ...quote });
}

function readUpdate(
  { product_id, time, changes }: { product_id: string; time: string; changes: ['buy' | 'sell', string, string][] },
  sink: Sink,
): void {
  sink.consumed('l2update');
  const bids: Level[] = [];
  const asks: Level[] = [];
  // A change that is not understood must not be skipped: the book would miss it. The check of the levels refuses it.
  for (const change of Array.isArray(changes) ? changes : [changes]) {
    const [side, ...level] = Array.isArray(change) ? change : [];
    if (side === 'buy') bids.push(level as Level);
    else asks.push(side === 'sell' ? (level as Level) : (change as never));
  }
  sink.bookUpdated(product_id, { time: Date.parse(time), bids, asks });
}

function takerOf(maker: 'buy' | 'sell'): Side {
  return maker === 'buy' ? 'sell' : 'buy';
}

interface PastMatch {
  readonly trade_id: number;
  readonly side: 'buy' | 'sell';
  readonly size: string;
  readonly price: string;
  readonly time: string;
}

export function coinbaseHistory(): History {
  return {
    trades: (symbol, tradeGap, get) =>
      tradeGap.after ? tradesAfter(symbol, tradeGap.after.order, tradeGap, get) : tradesSince(symbol, tradeGap, get),
  };
}

/**
 * Trades after a number, oldest first. A page has the newest trades below a number, and the numbers are dense, so the page after a trade is the one that ends
 * `PAGE` numbers later.
 */
async function* tradesAfter(symbol: string, after: number, tradeGap: TradeGap, get: GetJson): AsyncGenerator<Trade[]> {
  const end = Math.min(tradeGap.before?.order ?? Number.POSITIVE_INFINITY, after + LOST_TRADES_MAX + 1);
  for (let from = after; from + 1 < end; from += PAGE) {
    const page = await readPage(symbol, Math.min(from + PAGE + 1, end), get);
    const wanted = page.filter((trade) => trade.order > from).reverse();
    if (wanted.length > 0) yield wanted;
    const isNewestPage = (page[0]?.order ?? 0) < from + PAGE;
    if (tradeGap.before === null && isNewestPage) return;
  }
}

/** Trades from a time, oldest first. Pages go back from the newest trade, so they are collected first: at most `LOST_TRADES_MAX` trades. */
async function* tradesSince(symbol: string, tradeGap: TradeGap, get: GetJson): AsyncGenerator<Trade[]> {
  const pages: Trade[][] = [];
  let cursor = tradeGap.before?.order;
  do {
    const page = await readPage(symbol, cursor, get);
    const wanted = page.filter((trade) => isInGap(trade, tradeGap));
    pages.push(wanted.reverse());
    if (page.length < PAGE || wanted.length < page.length) break;
    cursor = page.at(-1)?.order;
  } while (pages.length * PAGE < LOST_TRADES_MAX);
  for (const page of pages.reverse()) if (page.length > 0) yield page;
}

/**
 * The newest trades below a number, newest first, at most `PAGE`.
 * @throws Error when the response has others, as that of a cache which does not know the parameter
 */
async function readPage(symbol: string, below: number | undefined, get: GetJson): Promise<Trade[]> {
  const rows = (await get(`/products/${symbol}/trades?limit=${PAGE}${below === undefined ? '' : `&after=${below}`}`)) as PastMatch[];
  const page = rows.map(tradeOf);
  const other = below === undefined ? undefined : page.find(({ order }) => order >= below);
  if (other) throw new Error(`trade ${other.order} is in the page of trades before ${below}: the server ignores "after"; check "restUrl"`);
  return page;
}

function tradeOf({ trade_id, side, size, price, time }: PastMatch): Trade {
  return { id: String(trade_id), order: trade_id, time: Date.parse(time), price, quantity: size, side: takerOf(side) };
}
