/*
 * The content of a recording, computed from the raw frames without code of the product: trades with all digits, their one-minute candles, and the number
 * of frames of each kind.
 */

export interface TrueTrade {
  readonly instrument: string;
  readonly time: number;
  readonly price: string;
  readonly quantity: string;
  readonly side: 'buy' | 'sell';
  readonly id: string;
  readonly rank: number;
}

interface Truth {
  readonly trades: TrueTrade[];
  readonly kinds: Map<string, number>;
}

/** Parses JSON and keeps the digits of numbers. */
// biome-ignore lint/suspicious/noExplicitAny: the shape differs from venue to venue; the test asserts what matters of it.
function exact(text: string): any {
  return JSON.parse(text, (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' ? context?.source : value,
  );
}

export function truthOf(venue: string, frames: readonly { text: string }[]): Truth {
  const trades: TrueTrade[] = [];
  const kinds = new Map<string, number>();
  const count = (kind: string) => kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  for (const { text } of frames) {
    const frame = exact(text);
    if (venue.startsWith('binance')) {
      const { data } = frame;
      count(data.e ?? 'bookTicker');
      if (data.e !== 'aggTrade') continue;
      const quote = ['USDT', 'BTC', 'ETH', 'EUR'].find((name) => data.s.endsWith(name)) ?? '';
      const pair = `${data.s.slice(0, -quote.length)}-${quote}`;
      trades.push({
        instrument: pair,
        time: Number(data.T),
        price: data.p,
        quantity: data.q,
        side: data.m ? 'sell' : 'buy',
        id: data.a,
        rank: Number(data.a),
      });
    } else if (venue === 'coinbase') {
      count(frame.type);
      if (frame.type !== 'match' && frame.type !== 'last_match') continue;
      const side = frame.side === 'buy' ? 'sell' : 'buy';
      trades.push({
        instrument: frame.product_id,
        time: new Date(frame.time).getTime(),
        price: frame.price,
        quantity: frame.size,
        side,
        id: frame.trade_id,
        rank: Number(frame.trade_id),
      });
    } else if (venue === 'upbit') {
      count(frame.ty);
      if (frame.ty !== 'trade') continue;
      const [quote, base] = frame.cd.split('-');
      trades.push({
        instrument: `${base}-${quote}`,
        time: Number(frame.ttms),
        price: frame.tp,
        quantity: frame.tv,
        side: frame.ab === 'BID' ? 'buy' : 'sell',
        id: frame.sid,
        rank: Number(frame.sid),
      });
    } else {
      const channel = Array.isArray(frame) ? String(frame.at(-2)).split('-')[0] : frame.event;
      count(channel);
      if (channel !== 'trade') continue;
      const instrument = String(frame.at(-1)).replace('/', '-').replace('XBT', 'BTC');
      for (const [price, quantity, seconds, letter] of frame[1]) {
        const micros = Number(String(seconds).replace('.', ''));
        trades.push({
          instrument,
          time: Math.floor(micros / 1000),
          price,
          quantity,
          side: letter === 'b' ? 'buy' : 'sell',
          id: `${micros}:${price}:${quantity}:${letter}`,
          rank: micros,
        });
      }
    }
  }
  return { trades, kinds };
}

export function tradesByInstrument(trades: readonly TrueTrade[]): Map<string, TrueTrade[]> {
  const grouped = new Map<string, TrueTrade[]>();
  for (const trade of trades) grouped.set(trade.instrument, [...(grouped.get(trade.instrument) ?? []), trade]);
  for (const list of grouped.values()) list.sort((a, b) => a.time - b.time || a.rank - b.rank);
  return grouped;
}

/** `[time, open, high, low, close, volume]` of each minute with trades. Volumes are summed as integers of the last decimal. */
export function minuteCandles(trades: readonly TrueTrade[]): number[][] {
  const minutes = new Map<number, TrueTrade[]>();
  for (const trade of trades) {
    const minute = trade.time - (trade.time % 60_000);
    minutes.set(minute, [...(minutes.get(minute) ?? []), trade]);
  }
  return [...minutes].map(([minute, inside]) => {
    const prices = inside.map(({ price }) => Number(price));
    return [
      minute,
      prices[0] as number,
      Math.max(...prices),
      Math.min(...prices),
      prices.at(-1) as number,
      exactSum(inside.map(({ quantity }) => quantity)),
    ];
  });
}

function exactSum(decimals: readonly string[]): number {
  const places = Math.max(...decimals.map((text) => text.split('.')[1]?.length ?? 0));
  const total = decimals.reduce((sum, text) => {
    const [whole = '0', fraction = ''] = text.split('.');
    return sum + BigInt(whole + fraction.padEnd(places, '0'));
  }, 0n);
  const digits = String(total).padStart(places + 1, '0');
  return Number(places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`);
}
