import type { SourceConfig } from '@millrace/contracts';
import { type GivenCandle, type Instrument, isNumbered, type Kind, type Trade } from './story.ts';

/* The message format of each kind of source, by the documentation of the venue, and its configuration in Millrace. */

const FOLDERS: Partial<Record<Kind, string>> = { 'file-csv': 'rows.csv', 'file-jsonl': 'rows.jsonl' };
const ISO_DIGITS = 23;

/** @param origin host and port of the simulated venues */
export function configOf(kind: Kind, pairs: readonly string[], origin: string, folder: string): SourceConfig {
  // Silence is not tested here: finished histories are silent, and each reconnection would create events of all instruments.
  const common = { id: kind, reconnectMaxMs: 100, staleAfterMs: 3_600_000 };
  const urls = { wsUrl: `ws://${origin}/ws/${kind}${kind === 'kraken-v2' ? '/v2' : ''}`, restUrl: `http://${origin}/rest/${kind}` };
  const pairsByName = Object.fromEntries(pairs.map((pair) => [pair, pair]));
  const trades = { as: 'trades' as const, where: { k: 't' }, instrument: 'pair', pairs: pairsByName, time: 'at' };
  const fields = { price: 'p', quantity: 'q', side: 's' };
  const quotes = {
    as: 'quotes' as const,
    where: { k: 'q' },
    instrument: 'pair',
    pairs: pairsByName,
    time: 'at',
    fields: { bid: 'b', ask: 'a' },
  };
  const websocket = { ...common, type: 'websocket' as const, url: urls.wsUrl };
  switch (kind) {
    case 'binance':
    case 'binance-futures':
    case 'coinbase':
    case 'upbit':
      return { ...common, type: kind, instruments: [...pairs], channels: ['trades', 'quotes'], ...urls };
    case 'kraken-v1':
    case 'kraken-v2':
      return { ...common, type: 'kraken', instruments: [...pairs], channels: ['trades', 'quotes'], ...urls };
    case 'ids':
      return { ...websocket, map: [{ ...trades, fields: { ...fields, id: 'id' } }, quotes] };
    case 'arrival':
      return { ...websocket, map: [{ ...trades, items: 'items', fields: { ...fields, id: 'id' } }, quotes] };
    case 'sequence':
      return { ...websocket, map: [{ ...trades, fields: { ...fields, id: 'id', sequence: 'n' } }, quotes] };
    case 'micros':
      return {
        ...websocket,
        map: [
          { ...trades, timeUnit: 'us', fields },
          { ...quotes, timeUnit: 'us' },
        ],
      };
    case 'poll-trades': {
      const map = [
        { as: 'trades' as const, items: 'items', instrument: 'pair', pairs: pairsByName, time: 'at', fields: { ...fields, id: 'id' } },
      ];
      return { ...common, type: 'http-poll', url: `http://${origin}/poll/${kind}`, everyMs: 100, map };
    }
    case 'poll-candles': {
      const intervals = ['1m', '5m', '15m'] as const;
      const of = { open: 'o', high: 'h', low: 'l', close: 'c', volume: 'v' };
      // The request selects the interval, because one document cannot have several.
      const map = intervals.map((interval) => ({
        as: 'candles' as const,
        where: { interval },
        items: 'items',
        instrument: 'pair',
        pairs: pairsByName,
        time: 'at',
        interval,
        fields: of,
      }));
      return { ...common, type: 'http-poll', url: `http://${origin}/poll/${kind}`, everyMs: 100, map };
    }
    case 'file-csv':
    case 'file-jsonl': {
      const rows = { ...trades, where: {}, ...(kind === 'file-csv' ? { timeUnit: 'iso' as const } : {}) };
      const map = [{ ...rows, fields: kind === 'file-csv' ? { ...fields, id: 'id' } : fields }];
      return { ...common, type: 'file', path: `${folder}/${FOLDERS[kind]}`, ...(kind === 'file-csv' && { follow: true }), map };
    }
  }
}

export function symbolOf(kind: Kind, pair: string): string {
  const [base = '', quote = ''] = pair.split('-');
  if (kind.startsWith('binance')) return base + quote;
  if (kind === 'upbit') return `${quote}-${base}`;
  return kind.startsWith('kraken') ? `${base}/${quote}` : pair;
}

const iso = ({ time, micros }: Pick<Trade, 'time' | 'micros'>) =>
  `${new Date(time).toISOString().slice(0, ISO_DIGITS)}${String(micros).padStart(3, '0')}Z`;
const maker = (side: 'buy' | 'sell') => (side === 'buy' ? 'sell' : 'buy');
const microsOf = ({ time, micros }: Pick<Trade, 'time' | 'micros'>) => `${time}${String(micros).padStart(3, '0')}`;
const secondsOf = (trade: Pick<Trade, 'time' | 'micros'>) => microsOf(trade).replace(/(\d{6})$/, '.$1');

/** A message with one trade. */
export function tradeFrame({ kind, pair }: Instrument, trade: Trade): string {
  const { id, time, price, quantity, side, number } = trade;
  const symbol = symbolOf(kind, pair);
  switch (kind) {
    case 'binance':
    case 'binance-futures':
      return `{"stream":"${symbol.toLowerCase()}@aggTrade","data":{"e":"aggTrade","E":${time + 3},"s":"${symbol}","a":${id},"p":"${price}","q":"${quantity}","f":1,"l":1,"T":${time},"m":${side === 'sell'}}}`;
    case 'coinbase':
      return `{"type":"match","trade_id":${id},"side":"${maker(side)}","size":"${quantity}","price":"${price}","product_id":"${symbol}","sequence":1,"time":"${iso(trade)}"}`;
    case 'kraken-v2':
      return `{"channel":"trade","type":"update","data":[{"symbol":"${symbol}","side":"${side}","price":${price},"qty":${quantity},"ord_type":"limit","trade_id":${id},"timestamp":"${iso(trade)}"}]}`;
    case 'kraken-v1':
      return JSON.stringify([1, [[price, quantity, secondsOf(trade), side === 'buy' ? 'b' : 's', 'l', '']], 'trade', symbol]);
    case 'upbit':
      return `{"ty":"trade","cd":"${symbol}","tms":${time + 9},"ttms":${time},"tp":${price},"tv":${quantity},"ab":"${side === 'buy' ? 'BID' : 'ASK'}","sid":${id},"st":"REALTIME"}`;
    case 'file-csv':
      return `${pair},${iso(trade)},${price},${quantity},${side},${id}`;
    case 'arrival':
      return `{"k":"t","items":[${itemOf(pair, trade)}]}`;
    default:
      return `{"k":"t","n":${number},${itemOf(pair, trade, kind).slice(1)}`;
  }
}

/** One trade of a mapped message or document. */
export function itemOf(pair: string, trade: Trade, kind?: Kind): string {
  const { id, time, price, quantity, side } = trade;
  const named = kind === 'micros' || kind === 'file-jsonl' ? '' : `,"id":"${id}"`;
  return `{"pair":"${pair}","at":${kind === 'micros' ? microsOf(trade) : time},"p":"${price}","q":${quantity},"s":"${side}"${named}}`;
}

export function candleItem(pair: string, { time, values: [open, high, low, close, volume] }: GivenCandle): string {
  return JSON.stringify({ pair, at: time, o: open, h: high, l: low, c: close, v: volume });
}

export function quoteFrame({ kind, pair }: Instrument, time: number, price: string): string {
  const symbol = symbolOf(kind, pair);
  switch (kind) {
    case 'binance':
      return JSON.stringify({
        stream: `${symbol.toLowerCase()}@bookTicker`,
        data: { u: time, s: symbol, b: price, B: '1', a: price, A: '1' },
      });
    case 'binance-futures': {
      const data = { e: 'bookTicker', u: time, s: symbol, b: price, B: '1', a: price, A: '1', T: time, E: time };
      return JSON.stringify({ stream: `${symbol.toLowerCase()}@bookTicker`, data });
    }
    case 'coinbase':
      return JSON.stringify({ type: 'ticker', product_id: symbol, best_bid: price, best_ask: price, time: new Date(time).toISOString() });
    case 'kraken-v2': {
      const row = { symbol, bid: 1, bid_qty: 1, ask: 2, ask_qty: 1, timestamp: new Date(time).toISOString() };
      return JSON.stringify({ channel: 'ticker', type: 'update', data: [row] });
    }
    case 'kraken-v1':
      return JSON.stringify([1, { a: [price, 1, '1'], b: [price, 1, '1'] }, 'ticker', symbol]);
    case 'upbit':
      return `{"ty":"orderbook","cd":"${symbol}","tms":${time},"tas":1.0,"tbs":1.0,"obu":[{"ap":${price},"bp":${price},"as":1,"bs":1}],"st":"REALTIME"}`;
    default:
      return JSON.stringify({ k: 'q', pair, at: kind === 'micros' ? time * 1_000 : time, b: price, a: price });
  }
}

/** History of the venue over HTTP. @param known trades so far, oldest first @returns undefined for unknown requests */
export function historyPage(kind: Kind, url: URL, known: (symbol: string) => readonly Trade[]): string | undefined {
  const path = url.pathname.replace(`/rest/${kind}`, '');
  const asked = (name: string) => url.searchParams.get(name);
  if (kind.startsWith('binance') && path.endsWith('/aggTrades')) {
    const from = Number(asked('fromId') ?? 0);
    const since = Number(asked('startTime') ?? 0);
    const rows = known(asked('symbol') ?? '').filter(({ id, time }) => Number(id) >= from && time >= since);
    return `[${rows
      .slice(0, Number(asked('limit')))
      .map(
        ({ id, price, quantity, time, side }) =>
          `{"a":${id},"p":"${price}","q":"${quantity}","f":1,"l":1,"T":${time},"m":${side === 'sell'}}`,
      )}]`;
  }
  if (kind === 'coinbase') {
    const [, product] = /^\/products\/(.+)\/trades$/.exec(path) ?? [];
    const before = Number(asked('after') ?? Number.POSITIVE_INFINITY);
    const rows = known(product ?? '').filter(({ id }) => Number(id) < before);
    return JSON.stringify(
      rows
        .toReversed()
        .slice(0, Number(asked('limit')))
        .map((trade) => ({
          trade_id: Number(trade.id),
          side: maker(trade.side),
          size: trade.quantity,
          price: trade.price,
          time: iso(trade),
        })),
    );
  }
  if (kind === 'upbit' && path === '/v1/trades/ticks') {
    const cursor = asked('cursor');
    const rows = known(asked('market') ?? '').filter(({ id }) => cursor === null || BigInt(id) < BigInt(cursor));
    const page = rows.toReversed().slice(0, Number(asked('count')));
    return `[${page.map(
      ({ id, price, quantity, time, side }) =>
        `{"market":"x","timestamp":${time},"trade_price":${price},"trade_volume":${quantity},"ask_bid":"${side === 'buy' ? 'BID' : 'ASK'}","sequential_id":${id}}`,
    )}]`;
  }
  if (kind.startsWith('kraken') && path === '/0/public/Trades') {
    const symbol = asked('pair') ?? '';
    const since = BigInt(asked('since') ?? '0');
    const rows = known(symbol).filter((trade) => BigInt(microsOf(trade)) * 1_000n > since);
    const page = rows.slice(0, Number(asked('count') ?? 1_000));
    const last = page.at(-1);
    const list = page.map(
      (trade) =>
        `["${trade.price}","${trade.quantity}",${secondsOf(trade)},"${trade.side === 'buy' ? 'b' : 's'}","l","",${isNumbered(kind) ? trade.id : trade.number}]`,
    );
    return `{"error":[],"result":{"${symbol}":[${list}],"last":"${last ? `${microsOf(last)}000` : since}"}}`;
  }
  return undefined;
}
