import { createHash } from 'node:crypto';
import { type Candle, isInterval, type Mapping, type PreciseTime, preciseTimeOf, type Side, type Trade } from '@millrace/contracts';
import { parseDigits } from '../digits.ts';
import type { Protocol, Sink } from '../source.ts';

/*
 * Protocol of any JSON feed, by configuration. A mapping selects messages, locates their items, and maps fields of an item, or of its
 * message, to values.
 */

/** All symbols of the mappings with their pairs. The symbol of an item without an instrument is the pair of its mapping. */
export function symbolsOf(mappings: readonly Mapping[]): { pair: string; symbol: string }[] {
  const symbols = new Map<string, { pair: string; symbol: string }>();
  const add = (symbol: string, pair: string) => symbols.set(`${symbol} ${pair}`, { symbol, pair });
  for (const { pair: own, pairs = {} } of mappings) {
    if (own !== undefined) add(own, own);
    for (const [symbol, pair] of Object.entries(pairs)) add(symbol, pair);
  }
  return [...symbols.values()];
}

export interface MappedOptions {
  /** Messages to send after connecting. */
  readonly greetings?: readonly unknown[];
  /** Time of items without a time, epoch ms. */
  readonly now: () => number;
  /** Frames are rows of a file: trades without an id get none, because their row identifies them. */
  readonly ofFile?: boolean;
  /** Each frame is the same document, fetched again: items of the previous one are skipped, and not counted as duplicates. */
  readonly ofDocument?: boolean;
}

export function mappedProtocol(
  mappings: readonly Mapping[],
  { greetings = [], now, ofFile = false, ofDocument = false }: MappedOptions,
): Protocol {
  const ids = new RisingIds();
  /** Items used from the previous document, by mapping. */
  const lastDocuments = new Map<Mapping, ReadonlySet<string>>();
  /** Mappings with times finer than a millisecond. Their times give the order, also when the further digits are zero. */
  const precise = new Set(mappings.filter(({ timeUnit }) => timeUnit === 'us' || timeUnit === 'ns'));
  return {
    connected: () => greetings.map((message) => (typeof message === 'string' ? message : JSON.stringify(message))),
    read(frame, sink) {
      const message = parseDigits(frame);
      const mapping = mappingFor(mappings, message);
      if (!mapping) return sink.ignored('unmapped');
      const found = at(message, mapping.items ?? '');
      if (found === undefined) return sink.refused(`no items at path "${mapping.items}"`);
      sink.consumed(mapping.as);
      const items = (Array.isArray(found) ? found : [found]).map((item) => new Item(message, item, mapping, now));
      if (items.some(({ time }) => time.nanos > 0)) precise.add(mapping);
      const news = ofDocument ? newsAfter(lastDocuments.get(mapping), mapping, sink) : sink;
      if (mapping.as === 'trades') readTrades(items, precise.has(mapping) ? null : ids, ofFile, news);
      else if (mapping.as === 'quotes') for (const item of items) readQuote(item, sink);
      else if (mapping.as === 'candles') readCandles(items, mapping, news);
      else for (const item of items) readReadings(item, mapping, news);
      if ('taken' in news) lastDocuments.set(mapping, news.taken);
    },
  };
}

/** Uses the items that the previous document did not have. */
function newsAfter(
  last: ReadonlySet<string> | undefined,
  { time, fields }: Mapping,
  sink: Sink,
): Pick<Sink, Data> & { readonly taken: ReadonlySet<string> } {
  const taken = new Set<string>();
  const repeats = new Map<string, number>();
  // Without a time and an id, the id of a trade has the time of the request.
  const isNamedById = time !== undefined || fields.id !== undefined;
  const unlessKnown = (name: string, take: () => boolean) => {
    const isTaken = last?.has(name) === true || take();
    if (isTaken) taken.add(name);
    return isTaken;
  };
  return {
    taken,
    trade: (symbol, trade, numbered) => {
      const { price, quantity, side } = trade;
      const id = isNamedById ? trade.id : idOf({ time: 0, price, quantity, side, nanos: 0 }, repeats);
      return unlessKnown(`${symbol} ${id}`, () => sink.trade(symbol, trade, numbered));
    },
    candle: (symbol, interval, candle) =>
      unlessKnown(`${symbol} ${interval} ${Object.values(candle).join(' ')}`, () => sink.candle(symbol, interval, candle)),
    reading: (symbol, reading) =>
      unlessKnown(`${symbol} ${reading.name} ${reading.time} ${reading.value}`, () => sink.reading(symbol, reading)),
    refused: (detail) => sink.refused(detail),
  };
}

type Data = 'trade' | 'candle' | 'reading' | 'refused';

/** Returns the time of a message: that of its first item, or null when it has no valid time. */
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

/** An item of a message, read by its mapping. */
class Item {
  readonly symbol: string;
  /** NaN ms when the item has no valid time. */
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

  /** A field as text; empty when it is absent. */
  text(name: string): string {
    const path = this.#fields[name];
    return path === undefined ? '' : this.#at(path);
  }

  /** A field as a number; NaN when it is absent or has another form. `Number` takes blanks for 0, and reads hexadecimal digits. */
  number(name: string): number {
    const text = this.text(name).trim();
    return NUMBER.test(text) ? Number(text) : Number.NaN;
  }

  #at(path: string): string {
    const value = path === ROOT || path.startsWith(`${ROOT}.`) ? at(this.#message, path.slice(ROOT.length + 1)) : at(this.#item, path);
    return value === undefined || value === null ? '' : String(value);
  }
}

/** A decimal number, as files and feeds write it. */
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** Prefix of paths that start at the message instead of the item. */
const ROOT = '$';

/**
 * Trades of one message, oldest first. Reverses messages that have the newest first.
 * @param ids gives the order of trades of one millisecond; null when their times do
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
    // A rejected trade does not count for the order: its time may be wrong.
    if (sink.trade(item.symbol, { ...values, id, order }, false)) ids?.note(item.symbol, id, time);
  }
}

/** Tracks whether the ids of a feed have risen with time so far. If so, they give the order of trades of one time. */
class RisingIds {
  readonly #newest = new Map<string, { id: number; time: number; rise: boolean }>();

  /** The id as a number if ids rise, else 0. */
  orderOf(symbol: string, text: string, time: number): number {
    const id = numberOf(text);
    const newest = this.#newest.get(symbol);
    const rise = newest === undefined || (newest.rise && areInStep(newest, id, time));
    return rise && !Number.isNaN(id) ? id : 0;
  }

  /** Notes an accepted trade. */
  note(symbol: string, text: string, time: number): void {
    const id = numberOf(text);
    const newest = this.#newest.get(symbol);
    if (!newest) return void this.#newest.set(symbol, { id, time, rise: !Number.isNaN(id) });
    newest.rise &&= areInStep(newest, id, time);
    if (time >= newest.time) Object.assign(newest, { id: Math.max(id, newest.id), time });
  }
}

/** An id as a number; NaN if it is none. */
function numberOf(id: string): number {
  return /^\d{1,15}$/.test(id) ? Number(id) : Number.NaN;
}

/** Whether the later of two trades has the higher id. */
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
  if (!isInterval(interval)) return sink.refused(`unknown interval "${String(interval)}"`);
  for (const item of items.toSorted((a, b) => a.time.ms - b.time.ms)) {
    const [open, high, low, close] = [item.number('open'), item.number('high'), item.number('low'), item.number('close')];
    const candle: Candle = { time: item.time.ms, open, high, low, close, volume: item.number('volume'), trades: 0 };
    sink.candle(item.symbol, interval, candle);
  }
}

function readReadings(item: Item, { fields }: Mapping, sink: Pick<Sink, Data>): void {
  for (const name of Object.keys(fields)) sink.reading(item.symbol, { time: item.time.ms, name, value: item.number(name) });
}

/** Id of a trade without one: its fields, and its number among equal trades of the message. */
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
