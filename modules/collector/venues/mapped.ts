import { createHash } from 'node:crypto';
import { type Candle, isInterval, type Mapping, type PreciseTime, preciseTimeOf, type Side, type Trade } from '@millrace/contracts';
import { parseDigits } from '../digits.ts';
import type { Protocol, Sink } from '../source.ts';

/*
 * Any JSON feed, by configuration alone: each mapping says which messages it is for, where the items are, and which field
 * of an item, or of the message around it, is which value.
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

export interface MappedOptions {
  /** What is sent after connecting. */
  readonly greetings?: readonly unknown[];
  /** The time of what has none of its own. */
  readonly now: () => number;
  /** Frames are rows of a file: a trade without an id is left without one, for its row tells it from others. */
  readonly ofFile?: boolean;
  /** Each frame is one document fetched again: what was in the one before is neither news nor a fault. */
  readonly ofDocument?: boolean;
}

export function mappedProtocol(
  mappings: readonly Mapping[],
  { greetings = [], now, ofFile = false, ofDocument = false }: MappedOptions,
): Protocol {
  const ids = new RisingIds();
  /** By mapping, what has been taken of the last document. */
  const lastDocuments = new Map<Mapping, ReadonlySet<string>>();
  /** Mappings whose times have shown digits beyond the millisecond: these tell the order, zeros included. */
  const precise = new Set(mappings.filter(({ timeUnit }) => timeUnit === 'us' || timeUnit === 'ns'));
  return {
    connected: () => greetings.map((message) => (typeof message === 'string' ? message : JSON.stringify(message))),
    read(frame, sink) {
      const message = parseDigits(frame);
      const mapping = mappingFor(mappings, message);
      if (!mapping) return sink.ignored('unmapped');
      const found = at(message, mapping.items ?? '');
      if (found === undefined) return sink.refused(`nothing at "${mapping.items}"`);
      sink.consumed(mapping.as);
      const items = (Array.isArray(found) ? found : [found]).map((item) => new Item(message, item, mapping, now));
      if (items.some(({ time }) => time.nanos > 0)) precise.add(mapping);
      const news = ofDocument ? newsAfter(lastDocuments.get(mapping), sink) : sink;
      if (mapping.as === 'trades') readTrades(items, precise.has(mapping) ? null : ids, ofFile, news);
      else if (mapping.as === 'quotes') for (const item of items) readQuote(item, sink);
      else if (mapping.as === 'candles') readCandles(items, mapping, news);
      else for (const item of items) readReadings(item, mapping, news);
      if ('taken' in news) lastDocuments.set(mapping, news.taken);
    },
  };
}

/** Takes what the document before did not have. */
function newsAfter(last: ReadonlySet<string> | undefined, sink: Sink): Pick<Sink, Data> & { readonly taken: ReadonlySet<string> } {
  const taken = new Set<string>();
  const unlessKnown = (name: string, take: () => boolean) => {
    const isTaken = last?.has(name) === true || take();
    if (isTaken) taken.add(name);
    return isTaken;
  };
  return {
    taken,
    trade: (symbol, trade, numbered) => unlessKnown(`${symbol} ${trade.id}`, () => sink.trade(symbol, trade, numbered)),
    candle: (symbol, interval, candle) =>
      unlessKnown(`${symbol} ${interval} ${Object.values(candle).join(' ')}`, () => sink.candle(symbol, interval, candle)),
    reading: (symbol, reading) =>
      unlessKnown(`${symbol} ${reading.name} ${reading.time} ${reading.value}`, () => sink.reading(symbol, reading)),
    refused: (detail) => sink.refused(detail),
  };
}

type Data = 'trade' | 'candle' | 'reading' | 'refused';

/** Tells the time of a message: that of its first item. Null when there is none that can be read. */
export function mappedTime(mappings: readonly Mapping[]): (frame: string) => PreciseTime | null {
  return (frame) => {
    try {
      const message = parseDigits(frame);
      const mapping = mappingFor(mappings, message);
      const found = mapping && at(message, mapping.items ?? '');
      if (!mapping || mapping.time === undefined) return null;
      const { time } = new Item(message, Array.isArray(found) ? found[0] : found, mapping, () => 0);
      return Number.isNaN(time.ms) ? null : time;
    } catch {
      return null;
    }
  };
}

function mappingFor(mappings: readonly Mapping[], message: unknown): Mapping | undefined {
  return mappings.find(({ where = {} }) => Object.entries(where).every(([path, value]) => String(at(message, path)) === String(value)));
}

/** One item of a message, read by its mapping. */
class Item {
  readonly symbol: string;
  /** NaN ms when it has none that can be read. */
  readonly time: PreciseTime;
  readonly #message: unknown;
  readonly #item: unknown;
  readonly #fields: Mapping['fields'];

  constructor(message: unknown, item: unknown, mapping: Mapping, now: () => number) {
    this.#message = message;
    this.#item = item;
    this.#fields = mapping.fields;
    this.symbol = mapping.instrument === undefined ? (mapping.pair ?? '') : this.#at(mapping.instrument);
    this.time =
      mapping.time === undefined
        ? { ms: now(), nanos: 0 }
        : (preciseTimeOf(this.#at(mapping.time), mapping.timeUnit ?? 'ms') ?? { ms: Number.NaN, nanos: 0 });
  }

  /** A field as it was written; empty when there is none. */
  text(name: string): string {
    const path = this.#fields[name];
    return path === undefined ? '' : this.#at(path);
  }

  /** A field as a number; NaN when there is none. */
  number(name: string): number {
    const text = this.text(name);
    return text === '' ? Number.NaN : Number(text);
  }

  #at(path: string): string {
    const value = path === ROOT || path.startsWith(`${ROOT}.`) ? at(this.#message, path.slice(ROOT.length + 1)) : at(this.#item, path);
    return value === undefined || value === null ? '' : String(value);
  }
}

/** What a path begins with that starts at the message instead of the item. */
const ROOT = '$';

/**
 * Trades of one message, oldest first: where it has the newest first, it is turned round.
 * @param ids what tells the order of trades of one millisecond; null where the time does
 */
function readTrades(items: readonly Item[], ids: RisingIds | null, ofFile: boolean, sink: Pick<Sink, Data>): void {
  const times = items.map(({ time }) => time.ms);
  const isTurned = (times[0] ?? 0) > (times.at(-1) ?? 0);
  const repeats = new Map<string, number>();
  for (const item of isTurned ? items.toReversed() : items) {
    const { ms: time, nanos } = item.time;
    const said = item.text('side').toLowerCase();
    const side: Side = said === 'buy' || said === 'sell' ? said : 'unknown';
    const values = { time, price: item.text('price'), quantity: item.text('quantity'), side };
    const id = item.text('id') || (ofFile ? '' : idOf({ ...values, nanos }, repeats));
    const sequence = item.text('sequence');
    const order = sequence === '' ? (ids?.orderOf(item.symbol, id, time) ?? nanos) : Number(sequence);
    // What is refused says nothing of the others: its time may be a wrong one.
    if (sink.trade(item.symbol, { ...values, id, order }, false)) ids?.note(item.symbol, id, time);
  }
}

/** Whether a feed’s ids rise with time, as far as has been seen: then they tell the order of trades of one time. */
class RisingIds {
  readonly #newest = new Map<string, { id: number; time: number; rise: boolean }>();

  /** The id as a number where ids rise, else 0. */
  orderOf(symbol: string, text: string, time: number): number {
    const id = numberOf(text);
    const newest = this.#newest.get(symbol);
    const rise = newest === undefined || (newest.rise && areInStep(newest, id, time));
    return rise && !Number.isNaN(id) ? id : 0;
  }

  /** A trade that was taken. */
  note(symbol: string, text: string, time: number): void {
    const id = numberOf(text);
    const newest = this.#newest.get(symbol);
    if (!newest) return void this.#newest.set(symbol, { id, time, rise: !Number.isNaN(id) });
    newest.rise &&= areInStep(newest, id, time);
    if (time >= newest.time) Object.assign(newest, { id: Math.max(id, newest.id), time });
  }
}

/** NaN when an id is no number. */
function numberOf(id: string): number {
  return /^\d{1,15}$/.test(id) ? Number(id) : Number.NaN;
}

/** Whether of two trades the later one has the higher id. */
function areInStep(newest: { readonly id: number; readonly time: number }, id: number, time: number): boolean {
  return (time > newest.time && id > newest.id) || (time < newest.time && id < newest.id) || time === newest.time;
}

function readQuote(item: Item, sink: Sink): void {
  const [bid, ask] = [item.text('bid'), item.text('ask')];
  const [bidQuantity, askQuantity] = [item.text('bidQuantity') || '0', item.text('askQuantity') || '0'];
  sink.quote(item.symbol, { time: item.time.ms, bid, ask, bidQuantity, askQuantity });
}

/** Candles of one message, oldest first. */
function readCandles(items: readonly Item[], { interval = '1m' }: Mapping, sink: Pick<Sink, Data>): void {
  if (!isInterval(interval)) return sink.refused(`no interval "${String(interval)}"`);
  for (const item of items.toSorted((a, b) => a.time.ms - b.time.ms)) {
    const [open, high, low, close] = [item.number('open'), item.number('high'), item.number('low'), item.number('close')];
    const candle: Candle = { time: item.time.ms, open, high, low, close, volume: item.number('volume'), trades: 0 };
    sink.candle(item.symbol, interval, candle);
  }
}

function readReadings(item: Item, { fields }: Mapping, sink: Pick<Sink, Data>): void {
  for (const name of Object.keys(fields)) sink.reading(item.symbol, { time: item.time.ms, name, value: item.number(name) });
}

/** A trade without an id is told from others by its fields, and by how many there were like it in the message. */
function idOf(trade: Omit<Trade, 'id' | 'order'> & { nanos: number }, repeats: Map<string, number>): string {
  const { nanos, ...fields } = trade;
  const id = createHash('sha1')
    .update(JSON.stringify(nanos > 0 ? trade : fields))
    .digest('hex')
    .slice(0, 16);
  const repeat = repeats.get(id) ?? 0;
  repeats.set(id, repeat + 1);
  return repeat === 0 ? id : `${id}:${repeat}`;
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
