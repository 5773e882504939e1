import { type Candle, INTERVAL_MS, type Interval, type Level, type Trade } from '@millrace/contracts';
import { parseDigits } from '../digits.ts';
import { shortened } from '../shortened.ts';
import type { GetJson, History, Protocol, Sink, TradeGap } from '../source.ts';
import { LOST_TRADES_MAX } from '../trade-numbers.ts';

/*
 * Upbit: trade and orderbook in the SIMPLE and the DEFAULT format. Its frames are binary and contain UTF-8 JSON. Its JSON numbers are read
 * as text, so that no digit is lost. Source: docs.upbit.com, "WebSocket" and "Trades Ticks".
 */

type Channel = 'trades' | 'quotes' | 'book' | 'candles';

const PAGE = 500;
/** How far trades arrive out of order, ms: some seconds in the recorded streams. */
const DISORDER_MS = 10_000;
/** Maximum number of candles in one response. */
const CANDLES_PAGE = 200;

/** Symbol of a pair: the quote currency comes first, `KRW-LAMB` for `LAMB-KRW`. */
export function upbitSymbol(pair: string): string {
  const [base, quote] = pair.split('-');
  return `${quote}-${base}`;
}

/** Field names of the DEFAULT format, by those of SIMPLE. */
const LONG = {
  ty: 'type',
  cd: 'code',
  tms: 'timestamp',
  ttms: 'trade_timestamp',
  tp: 'trade_price',
  tv: 'trade_volume',
  ab: 'ask_bid',
  sid: 'sequential_id',
  obu: 'orderbook_units',
  ap: 'ask_price',
  bp: 'bid_price',
  as: 'ask_size',
  bs: 'bid_size',
} as const;
type Short = keyof typeof LONG;
type Message = Partial<Record<string, unknown>>;

function field(message: Message, name: Short): string {
  return String(message[name] ?? message[LONG[name]] ?? '');
}

export function upbitProtocol(symbols: readonly string[], channels: readonly Channel[]): Protocol {
  const ticket = { ticket: 'millrace' };
  const types: object[] = [];
  if (channels.includes('trades')) types.push({ type: 'trade', codes: symbols, isOnlyRealtime: true });
  if (channels.includes('book') || channels.includes('quotes')) types.push({ type: 'orderbook', codes: symbols, isOnlyRealtime: true });
  return {
    connected: () => [JSON.stringify([ticket, ...types, { format: 'SIMPLE' }])],
    read(frame, sink) {
      const message = parseDigits(frame) as Message;
      const kind = field(message, 'ty');
      if (kind === 'trade') return readTrade(message, sink);
      if (kind === 'orderbook') return readBook(message, channels, sink);
      if (message.status === 'UP') return sink.ignored('status');
      if (message.error !== undefined) return sink.refused(`the venue refused a request: ${JSON.stringify(message.error)}`);
      return kind === '' ? sink.refused('a message without a type') : sink.ignored(kind);
    },
  };
}

function readTrade(message: Message, sink: Sink): void {
  sink.consumed('trade');
  const id = field(message, 'sid');
  sink.trade(
    field(message, 'cd'),
    {
      id,
      order: orderOf(id, field(message, 'ttms')),
      time: Number(field(message, 'ttms')),
      price: field(message, 'tp'),
      quantity: field(message, 'tv'),
      side: field(message, 'ab') === 'BID' ? 'buy' : 'sell',
    },
    false,
  );
}

/**
 * Order within a millisecond, from a sequential id: the millisecond and a counter of three digits, in some markets four. With four it is
 * too long for a double.
 */
function orderOf(id: string, time: string): number {
  return Number(id.startsWith(time) ? id.slice(time.length) : id.slice(0, MILLISECOND_DIGITS + 3));
}

/** Whether a trade lies in a gap, by the ids of the trades around it. */
function isWithin({ id, time }: Trade, { after, since, before }: TradeGap): boolean {
  const isBehind = after ? numberOf(id) > numberOf(after.id) : time >= since;
  return isBehind && (before === null || numberOf(id) < numberOf(before.id));
}

/** @throws Error when it is not a sequential id. A number of a million digits would take seconds to parse. */
function numberOf(id: string): bigint {
  if (/^\d{1,32}$/.test(id)) return BigInt(id);
  throw new Error(`"${shortened(id, 64)}" is not a sequential id of digits`);
}

const MILLISECOND_DIGITS = 13;

/** An order book message: a snapshot of the fifteen (or thirty) best levels. */
function readBook(message: Message, channels: readonly Channel[], sink: Sink): void {
  sink.consumed('orderbook');
  const symbol = field(message, 'cd');
  const time = Number(field(message, 'tms'));
  const units = (message.obu ?? message.orderbook_units ?? []) as Message[];
  const bids = units.map((unit): Level => [field(unit, 'bp'), field(unit, 'bs')]);
  const asks = units.map((unit): Level => [field(unit, 'ap'), field(unit, 'as')]);
  const [bid] = bids;
  const [ask] = asks;
  if (channels.includes('quotes') && bid && ask)
    sink.quote(symbol, { time, bid: bid[0], bidQuantity: bid[1], ask: ask[0], askQuantity: ask[1] });
  if (channels.includes('book')) sink.bookReplaced(symbol, { time, bids, asks });
}

export function upbitHistory(): History {
  return {
    disorderMs: DISORDER_MS,
    /**
     * Pages go back from the newest trade by `cursor`, the sequential id, to the first trade of a day: then no trade is older than the gap. Their order is
     * reversed here, so they are collected first: at most `LOST_TRADES_MAX` trades. The history of a longer gap begins later than the gap.
     */
    async *trades(symbol, tradeGap, get) {
      const pages: Trade[][] = [];
      for (let cursor = tradeGap.before?.id; ; ) {
        const rows = (await get(
          `/v1/trades/ticks?market=${symbol}&count=${PAGE}${cursor === undefined ? '' : `&cursor=${cursor}`}`,
          'as-text',
        )) as Record<string, string>[];
        const page = rows.map(
          (row): Trade => ({
            id: String(row.sequential_id),
            order: orderOf(String(row.sequential_id), String(row.timestamp)),
            time: Number(row.timestamp),
            price: String(row.trade_price),
            quantity: String(row.trade_volume),
            side: row.ask_bid === 'BID' ? 'buy' : 'sell',
          }),
        );
        const wanted = page.filter((trade) => isWithin(trade, tradeGap));
        const older = tradeGap.after ? undefined : page.find(({ time }) => time < tradeGap.since);
        pages.push(older ? [...wanted, older] : wanted);
        const oldest = page.at(-1);
        if (!oldest || wanted.length < page.length || page.length < PAGE || pages.length * PAGE >= LOST_TRADES_MAX) break;
        cursor = oldest.id;
      }
      for (const page of pages.reverse()) if (page.length > 0) yield page.reverse();
    },
    candles: {
      intervals: ['1m', '3m', '5m', '15m', '30m', '1h', '4h'],
      async read(symbol, interval, from, to, get) {
        // A minute without trades has no candle, and a page may have none.
        for (let opening = from; opening < to; opening += CANDLES_PAGE * INTERVAL_MS[interval]) {
          const page = await readCandles(symbol, interval, opening, to, get);
          if (page.length > 0) return page;
        }
        return [];
      },
    },
  };
}

/** The candles that open in [from, to), in at most `CANDLES_PAGE` intervals, oldest first. Pages of Upbit go back from a time. */
async function readCandles(symbol: string, interval: Interval, from: number, to: number, get: GetJson): Promise<Candle[]> {
  const minutes = INTERVAL_MS[interval] / INTERVAL_MS['1m'];
  const until = new Date(Math.min(to, from + CANDLES_PAGE * INTERVAL_MS[interval])).toISOString().slice(0, 19);
  const rows = (await get(`/v1/candles/minutes/${minutes}?market=${symbol}&to=${until}Z&count=${CANDLES_PAGE}`)) as Record<
    string,
    number | string
  >[];
  return rows
    .map((row) => ({
      time: Date.parse(`${row.candle_date_time_utc}Z`),
      open: Number(row.opening_price),
      high: Number(row.high_price),
      low: Number(row.low_price),
      close: Number(row.trade_price),
      volume: Number(row.candle_acc_trade_volume),
      trades: 0,
    }))
    .filter(({ time }) => time >= from && time < to)
    .reverse();
}
