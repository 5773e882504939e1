import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';

export interface MadeUpTrade {
  readonly pair: string;
  readonly id: number;
  readonly time: number;
  readonly price: string;
  readonly quantity: string;
}

/** Per instrument. */
export const FIRST_ID = 1_001;
const START = Date.UTC(2026, 0, 5, 9, 0, 0);
/** Event time between two frames. One second of replay is some minutes of the market, so that many candles close. */
const EVENT_STEP_MS = 7;

/**
 * Writes generated frames of aggregate trades in the format of recordings, at a constant rate, for several instruments.
 * @returns their trades, in the order of the frames
 */
export async function writeFrames(
  path: string,
  options: { frames: number; perSecond: number; pairs: readonly string[] },
): Promise<MadeUpTrade[]> {
  const { frames, perSecond, pairs } = options;
  const file = createWriteStream(path);
  const streams = pairs.map((pair) => `${pair.replace('-', '').toLowerCase()}@aggTrade`).join('/');
  file.write(`wss://stream.binance.com:9443/stream?streams=${streams} <-> ${START / 1_000}\n`);
  const trades: MadeUpTrade[] = [];
  const ids = new Map<string, number>();
  for (let index = 0; index < frames; index++) {
    const pair = pairs[(index * 7 + (index >> 3)) % pairs.length] as string;
    const id = (ids.get(pair) ?? FIRST_ID - 1) + 1;
    ids.set(pair, id);
    const trade = {
      pair,
      id,
      time: START + index * EVENT_STEP_MS,
      price: (100 + Math.sin(index / 500) * 3 + (index % 13) / 100).toFixed(4),
      quantity: ((index % 97) / 10 + 0.1).toFixed(3),
    };
    trades.push(trade);
    const symbol = pair.replace('-', '');
    const data = `{"e":"aggTrade","E":${trade.time},"s":"${symbol}","a":${id},"p":"${trade.price}","q":"${trade.quantity}","f":${id},"l":${id},"T":${trade.time},"m":${index % 2 === 0},"M":true}`;
    file.write(`${(START / 1_000 + index / perSecond).toFixed(6)}: {"stream":"${symbol.toLowerCase()}@aggTrade","data":${data}}\n`);
  }
  file.end();
  await finished(file);
  return trades;
}
