import type { Rest } from './player.ts';
import type { TrueTrade } from './truth.ts';

/*
 * Trade history of the venues over HTTP, by their documentation, answered from a recording. `known` has the trades so far.
 */

export function historyOf(venue: string, known: () => readonly TrueTrade[]): Rest {
  const ofPair = (pair: string) =>
    known()
      .filter(({ instrument }) => instrument === pair)
      .sort((a, b) => a.rank - b.rank || a.time - b.time);
  const ofSymbol = (symbol: string) =>
    known()
      .filter(({ instrument }) => instrument.replace('-', '') === symbol)
      .sort((a, b) => a.rank - b.rank);

  if (venue.startsWith('binance'))
    return (url) => {
      if (!url.pathname.endsWith('/aggTrades')) return undefined;
      const from = Number(url.searchParams.get('fromId') ?? 0);
      const since = Number(url.searchParams.get('startTime') ?? 0);
      return ofSymbol(url.searchParams.get('symbol') ?? '')
        .filter(({ rank, time }) => rank >= from && time >= since)
        .slice(0, Number(url.searchParams.get('limit')))
        .map(({ id, price, quantity, time, side }) => ({ a: Number(id), p: price, q: quantity, f: 1, l: 1, T: time, m: side === 'sell' }));
    };
  if (venue === 'coinbase')
    return (url) => {
      const pair = /^\/products\/(.+)\/trades$/.exec(url.pathname)?.[1];
      if (pair === undefined) return undefined;
      const before = Number(url.searchParams.get('after') ?? Number.POSITIVE_INFINITY);
      return ofPair(pair)
        .filter(({ rank }) => rank < before)
        .reverse()
        .slice(0, Number(url.searchParams.get('limit')))
        .map(({ id, price, quantity, time, side }) => ({
          trade_id: Number(id),
          side: side === 'buy' ? 'sell' : 'buy',
          size: quantity,
          price,
          time: new Date(time).toISOString(),
        }));
    };
  if (venue === 'upbit')
    return (url) => {
      if (url.pathname !== '/v1/trades/ticks') return undefined;
      const pair = (url.searchParams.get('market') ?? '').split('-').reverse().join('-');
      const cursor = url.searchParams.get('cursor');
      const recorded = ofPair(pair);
      const rows = [...recorded.slice(0, 1).map(olderOf), ...recorded]
        .filter(({ id }) => cursor === null || BigInt(id) < BigInt(cursor))
        .reverse()
        .slice(0, Number(url.searchParams.get('count')))
        .map(
          ({ id, price, quantity, time, side }) =>
            `{"market":"x","timestamp":${time},"trade_price":${price},"trade_volume":${quantity},"ask_bid":"${side === 'buy' ? 'BID' : 'ASK'}","sequential_id":${id}}`,
        );
      return `[${rows.join(',')}]`;
    };
  return (url) => {
    if (url.pathname !== '/0/public/Trades') return undefined;
    const symbol = url.searchParams.get('pair') ?? '';
    const since = BigInt(url.searchParams.get('since') ?? '0');
    const rows = ofPair(symbol.replace('/', '-').replace('XBT', 'BTC')).filter(({ rank }) => BigInt(rank) * 1000n > since);
    const seconds = (micros: number) => `${String(micros).slice(0, -6)}.${String(micros).slice(-6)}`;
    const last = rows.at(-1);
    const trades = rows.map(
      ({ price, quantity, rank, side }, index) =>
        `["${price}","${quantity}",${seconds(rank)},"${side === 'buy' ? 'b' : 's'}","l","",${index + 1}]`,
    );
    return `{"error":[],"result":{"${symbol}":[${trades.join(',')}],"last":"${last ? BigInt(last.rank) * 1000n : since}"}}`;
  };
}

/** A trade of Upbit a minute before the recording: its market is older than the recording. */
function olderOf(trade: TrueTrade): TrueTrade {
  const { id, time } = trade;
  return { ...trade, id: String(BigInt(id) - 60_000n * 10n ** BigInt(id.length - 13)), time: time - 60_000 };
}
