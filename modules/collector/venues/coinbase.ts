import type { Level, Side, Trade } from '@millrace/contracts';
import { type History, isInGap, type Protocol, type Sink } from '../source.ts';

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
    /** Pages go back from the newest trade. Their order is reversed here, because a gap is filled from its start. */
    async *trades(symbol, tradeGap, get) {
      const pages: Trade[][] = [];
      for (let cursor = tradeGap.before?.order; ; ) {
        const rows = (await get(
          `/products/${symbol}/trades?limit=${PAGE}${cursor === undefined ? '' : `&after=${cursor}`}`,
        )) as PastMatch[];
        const page = rows.map(tradeOf);
        const wanted = page.filter((trade) => isInGap(trade, tradeGap));
        pages.push(wanted.reverse());
        const oldest = page.at(-1);
        if (!oldest || wanted.length < page.length || page.length < PAGE || oldest.order === (tradeGap.after?.order ?? 0) + 1) break;
        cursor = oldest.order;
      }
      for (const page of pages.reverse()) if (page.length > 0) yield page;
    },
  };
}

function tradeOf({ trade_id, side, size, price, time }: PastMatch): Trade {
  return { id: String(trade_id), order: trade_id, time: Date.parse(time), price, quantity: size, side: takerOf(side) };
}
