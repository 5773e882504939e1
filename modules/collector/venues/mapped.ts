import { createHash } from 'node:crypto';
import { type Candle, isInterval, type Mapping, type Side } from '@millrace/contracts';
import { parseDigits } from '../digits.ts';
import type { Protocol, Sink } from '../source.ts';

/*
 * Any JSON feed, by configuration alone: each mapping says which messages it is for, where the items are, and which field
 * of an item is which value.
 */

/** The symbol of an item that names no instrument: the mapping’s own pair. */
export function symbolsOf(mappings: readonly Mapping[]): { pair: string; symbol: string }[] {
  const symbols = new Map<string, string>();
  for (const mapping of mappings) {
    if (mapping.pair !== undefined) symbols.set(mapping.pair, mapping.pair);
    for (const [symbol, pair] of Object.entries(mapping.pairs ?? {})) symbols.set(symbol, pair);
  }
  return [...symbols].map(([symbol, pair]) => ({ symbol, pair }));
}

export function mappedProtocol(mappings: readonly Mapping[], greetings: readonly unknown[], now: () => number): Protocol {
  return {
    connected: () => greetings.map((message) => (typeof message === 'string' ? message : JSON.stringify(message))),
    read(frame, sink) {
      const message = parseDigits(frame);
      const mapping = mappings.find(({ where = {} }) =>
        Object.entries(where).every(([path, value]) => String(at(message, path)) === String(value)),
      );
      if (!mapping) return sink.ignored('unmapped');
      const items = at(message, mapping.items ?? '');
      if (items === undefined) return sink.refused(`nothing at "${mapping.items}"`);
      sink.consumed(mapping.as);
      for (const item of Array.isArray(items) ? items : [items]) readItem(item, mapping, now, sink);
    },
  };
}

function readItem(item: unknown, mapping: Mapping, now: () => number, sink: Sink): void {
  const { as, fields } = mapping;
  const text = (name: string) => {
    const path = fields[name];
    const value = path === undefined ? undefined : at(item, path);
    return value === undefined || value === null ? '' : String(value);
  };
  const symbol = mapping.instrument === undefined ? (mapping.pair ?? '') : String(at(item, mapping.instrument));
  const time = mapping.time === undefined ? now() : timeOf(String(at(item, mapping.time) ?? ''), mapping.timeUnit ?? 'ms');
  if (as === 'trades') {
    const side = text('side').toLowerCase();
    const trade = {
      time,
      price: text('price'),
      quantity: text('quantity'),
      side: (side === 'buy' || side === 'sell' ? side : 'unknown') as Side,
    };
    const id = text('id');
    return sink.trade(symbol, { ...trade, id: id || idOf(trade), order: Math.floor(time * 1_000) }, false);
  }
  if (as === 'quotes')
    return sink.quote(symbol, {
      time,
      bid: text('bid'),
      ask: text('ask'),
      bidQuantity: text('bidQuantity') || '0',
      askQuantity: text('askQuantity') || '0',
    });
  if (as === 'candles') {
    const [open = 0, high = 0, low = 0, close = 0, volume = 0] = ['open', 'high', 'low', 'close', 'volume'].map((name) =>
      Number(text(name)),
    );
    const candle: Candle = { time, open, high, low, close, volume, trades: 0 };
    const interval = mapping.interval ?? '1m';
    return isInterval(interval) ? sink.candle(symbol, interval, candle) : sink.refused(`no interval "${String(interval)}"`);
  }
  for (const name of Object.keys(fields)) sink.reading(symbol, { time, name, value: text(name) === '' ? Number.NaN : Number(text(name)) });
}

/** A trade without an id is told from others by its fields. */
function idOf(trade: object): string {
  return createHash('sha1').update(JSON.stringify(trade)).digest('hex').slice(0, 16);
}

function at(value: unknown, path: string): unknown {
  if (path === '') return value;
  let here = value;
  for (const key of path.split('.')) {
    if (typeof here !== 'object' || here === null) return undefined;
    here = (here as Record<string, unknown>)[key];
  }
  return here;
}

const TO_MS = { ms: 1, s: 1_000, us: 1 / 1_000, ns: 1 / 1_000_000 } as const;

function timeOf(text: string, unit: keyof typeof TO_MS | 'iso'): number {
  if (unit === 'iso')
    return Date.parse(/[zZ]|[+-]\d\d:?\d\d$/.test(text) ? text : `${text.replace(' ', 'T')}${text.length > 10 ? 'Z' : ''}`);
  return Math.floor(Number(text || Number.NaN) * TO_MS[unit]);
}
