import { Random } from './random.ts';

/*
 * Generates the history of a simulated venue: the trades of each instrument in order, and the faults of their delivery. It uses no code of Millrace and
 * only what the documentation says about each kind of source.
 */

export const KINDS = [
  'binance',
  'binance-futures',
  'coinbase',
  'kraken-v2',
  'kraken-v1',
  'upbit',
  'ids',
  'micros',
  'sequence',
  'arrival',
  'poll-trades',
  'poll-candles',
  'file-csv',
  'file-jsonl',
] as const;
export type Kind = (typeof KINDS)[number];

/** Instruments per source of each kind, limited by the rate of history requests that venues allow. */
const INSTRUMENTS: Record<Kind, number> = {
  binance: 40,
  'binance-futures': 40,
  coinbase: 20,
  'kraken-v2': 4,
  'kraken-v1': 4,
  upbit: 10,
  ids: 40,
  micros: 40,
  sequence: 40,
  arrival: 40,
  'poll-trades': 40,
  'poll-candles': 40,
  'file-csv': 40,
  'file-jsonl': 40,
};

export const isNumbered = (kind: Kind) => ['binance', 'binance-futures', 'coinbase', 'kraken-v2'].includes(kind);
export const hasHistory = (kind: Kind) => isNumbered(kind) || kind === 'kraken-v1' || kind === 'upbit';
export const isFile = (kind: Kind) => kind.startsWith('file-');
export const isPolled = (kind: Kind) => kind.startsWith('poll-');

export interface Trade {
  /** Number in order of time, from 1. */
  readonly number: number;
  readonly id: string;
  /** Epoch ms, and microseconds within it. */
  readonly time: number;
  readonly micros: number;
  readonly price: string;
  readonly quantity: string;
  readonly side: 'buy' | 'sell';
  /** Never in the venue’s history. */
  readonly isForgotten: boolean;
}

export interface GivenCandle {
  readonly time: number;
  readonly values: readonly [open: number, high: number, low: number, close: number, volume: number];
}

export interface Instrument {
  readonly kind: Kind;
  readonly source: string;
  /** BASE-QUOTE. */
  readonly pair: string;
  readonly trades: readonly Trade[];
  /** For a source of candles: the interval, and each sent version of each candle. */
  readonly interval: '1m' | '5m' | '15m';
  readonly candles: readonly GivenCandle[];
}

export const idOf = ({ source, pair }: Instrument) => `${source}:${pair}`;

/** One step of a source. Steps are executed in order. */
export type Step =
  | { readonly what: 'trade'; readonly at: Instrument; readonly trade: Trade }
  /** The trade happens and is not sent. */
  | { readonly what: 'unsent'; readonly at: Instrument; readonly trade: Trade }
  /** An earlier trade is sent again, or late. */
  | { readonly what: 'again' | 'late'; readonly at: Instrument; readonly trade: Trade }
  /** A recorded frame of a venue, with its trades. */
  | {
      readonly what: 'frame';
      readonly text: string;
      readonly binary: boolean;
      readonly of: readonly { readonly at: Instrument; readonly trade: Trade }[];
      readonly isSent: boolean;
    }
  | { readonly what: 'candle'; readonly at: Instrument; readonly candle: GivenCandle }
  | { readonly what: 'quote'; readonly at: Instrument; readonly time: number }
  /** An invalid message, which must be quarantined. */
  | { readonly what: 'bad'; readonly at: Instrument; readonly flaw: (typeof FLAWS)[number]; readonly trade: Trade }
  | { readonly what: 'wild'; readonly at: Instrument; readonly trade: Trade }
  | { readonly what: 'cut' }
  | { readonly what: 'history'; readonly answers: 'right' | '503' };

export const FLAWS = ['price', 'quantity', 'future', 'torn', 'zero'] as const;

export interface SourceStory {
  readonly kind: Kind;
  readonly id: string;
  readonly instruments: readonly Instrument[];
  readonly steps: readonly Step[];
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Length of a history, ms: from candles of seconds only to several of each interval. */
const SPANS = [20 * SECOND, 3 * MINUTE, 40 * MINUTE, 5 * HOUR, 2 * DAY] as const;

/** @param now end of the history, epoch ms */
export function storyOf(kind: Kind, seed: number, now: number, few = false): SourceStory {
  const random = new Random(seed);
  const id = kind;
  const count = few ? Math.min(4, INSTRUMENTS[kind]) : INSTRUMENTS[kind];
  const instruments = Array.from({ length: count }, (_, index) => instrumentOf(kind, id, index, random, now));
  return {
    kind,
    id,
    instruments,
    steps: kind === 'poll-candles' ? candleSteps(instruments, random) : tradeSteps(kind, instruments, random),
  };
}

function instrumentOf(kind: Kind, source: string, index: number, random: Random, now: number): Instrument {
  const pair = `${String.fromCharCode(65 + Math.floor(index / 26), 65 + (index % 26))}X-USDT`;
  const span = random.pick(SPANS);
  const age = random.chance(0.4) ? random.integer(10, 120) * SECOND : random.integer(1, 6) * DAY + random.integer(0, DAY);
  const start = now - age - span;
  const interval = random.pick(['1m', '5m', '15m'] as const);
  return {
    kind,
    source,
    pair,
    trades: tradesOf(kind, start, span, random),
    interval,
    candles: candlesOf(start, span, { '1m': MINUTE, '5m': 5 * MINUTE, '15m': 15 * MINUTE }[interval], random),
  };
}

function tradesOf(kind: Kind, start: number, span: number, random: Random): Trade[] {
  const count = random.integer(3, 40);
  const decimals = random.integer(0, 8);
  const precise = kind === 'micros' || kind === 'kraken-v1' || kind === 'kraken-v2';
  const times = Array.from({ length: count }, () => timeIn(start, span, random) * 1_000 + (precise ? random.integer(0, 999) : 0));
  times.sort((a, b) => a - b);
  const first = random.integer(1, 2_000_000);
  let price = random.integer(50, 5_000);
  const seen = new Set<string>();
  return times.map((micros, index): Trade => {
    price = Math.max(1, price + random.integer(-3, 3));
    const time = Math.floor(micros / 1_000);
    const trade = {
      number: index + 1,
      time,
      micros: micros % 1_000,
      price: (price / 10).toFixed(random.pick([1, 2])),
      quantity: ((random.integer(1, 9_999) / 1_000) * 10 ** -random.integer(0, 1)).toFixed(Math.max(4, decimals)),
      side: random.pick(['buy', 'sell'] as const),
      isForgotten: random.chance(0.02),
    };
    // No two equal trades without ids, because they cannot be distinguished from duplicates.
    const key = `${micros} ${trade.price} ${trade.quantity} ${trade.side}`;
    const quantity = seen.has(key) ? `${trade.quantity}${trade.quantity.includes('.') ? '' : '.'}${index + 1}` : trade.quantity;
    seen.add(key);
    return { ...trade, quantity, id: tradeId(kind, first + index, { ...trade, quantity }, index, random) };
  });
}

/** Times with many in one second, many equal ones, and many just before and after the end of a candle. */
function timeIn(start: number, span: number, random: Random): number {
  const time = start + random.integer(0, span);
  const way = random.next();
  if (way < 0.3) return time;
  if (way < 0.5) return Math.min(start + span, Math.ceil(time / MINUTE) * MINUTE + random.pick([-1, 0, 0, 1]));
  if (way < 0.7) return Math.min(start + span, Math.ceil(time / SECOND) * SECOND);
  return start + Math.floor(span / 3) + random.integer(0, 2_000);
}

function tradeId(
  kind: Kind,
  number: number,
  { time, micros, price, quantity, side }: Omit<Trade, 'id'>,
  index: number,
  random: Random,
): string {
  if (kind === 'upbit') return `${time}${String(index).padStart(4, '0')}`;
  if (kind === 'kraken-v1') return `${time * 1_000 + micros}:${price}:${quantity}:${side === 'buy' ? 'b' : 's'}`;
  if (kind === 'sequence' || kind === 'arrival') return random.name(12);
  return String(number);
}

function candlesOf(start: number, span: number, length: number, random: Random): GivenCandle[] {
  const told: GivenCandle[] = [];
  const first = Math.floor(start / length) * length;
  let price = random.integer(100, 9_000);
  for (let time = first; time < Math.min(start + span, first + 30 * length); time += length) {
    if (random.chance(0.15)) continue;
    const open = price;
    let [high, low, volume] = [price, price, 0];
    for (let part = random.integer(1, 3); part > 0; part--) {
      price = Math.max(1, price + random.integer(-20, 20));
      high = Math.max(high, price + random.integer(0, 5));
      low = Math.max(1, Math.min(low, price - random.integer(0, 5)));
      volume += random.integer(1, 900);
      told.push({ time, values: [open / 10, high / 10, low / 10, price / 10, volume / 100] });
    }
  }
  return told;
}

/** Interleaves the steps of the instruments, each in its own order. */
function shuffled(lists: readonly Step[][], random: Random): Step[] {
  const steps: Step[] = [];
  const waiting = lists.filter((list) => list.length > 0).map((list) => ({ list, at: 0 }));
  while (waiting.length > 0) {
    const index = random.integer(0, waiting.length - 1);
    const one = waiting[index] as (typeof waiting)[number];
    steps.push(one.list[one.at++] as Step);
    if (one.at === one.list.length) waiting.splice(index, 1);
  }
  return steps;
}

function candleSteps(instruments: readonly Instrument[], random: Random): Step[] {
  return withOutages(
    shuffled(
      instruments.map((at) => at.candles.map((candle): Step => ({ what: 'candle', at, candle }))),
      random,
    ),
    random,
    false,
  );
}

function tradeSteps(kind: Kind, instruments: readonly Instrument[], random: Random): Step[] {
  const lists = instruments.map((at) => instrumentSteps(kind, at, random));
  const steps = shuffled(lists, random);
  return isFile(kind) ? steps : withOutages(steps, random, hasHistory(kind));
}

/** Delivery of each trade of an instrument: once, twice, late, or never. */
function instrumentSteps(kind: Kind, at: Instrument, random: Random): Step[] {
  if (isFile(kind)) return at.trades.map((trade) => ({ what: 'trade', at, trade }));
  const steps: Step[] = [];
  const later: { readonly after: number; readonly step: Step }[] = [];
  const isUnruly = random.chance(0.3);
  for (const [index, trade] of at.trades.entries()) {
    for (const due of later.filter(({ after }) => after === index)) steps.push(due.step);
    // The last trades are sent, so that each gap has an end.
    const isLast = index >= at.trades.length - 2;
    if (random.chance(0.15)) steps.push({ what: 'quote', at, time: trade.time + random.pick([0, 500, 1_500, 8_000, 70_000]) });
    if (random.chance(0.03)) steps.push({ what: 'bad', at, flaw: random.pick(FLAWS), trade });
    if (isUnruly && index > 2 && isNumbered(kind) && random.chance(0.03)) steps.push({ what: 'wild', at, trade });
    const fate = random.next();
    const isLate = fate > 0.94 && !isLast && !isPolled(kind) && !at.source.startsWith('kraken-v1') && kind !== 'upbit';
    if (isNumbered(kind) && fate < 0.04 && !isLast) steps.push({ what: 'unsent', at, trade });
    else if (isLate && (isNumbered(kind) || kind === 'micros' || kind === 'sequence' || kind === 'ids')) {
      steps.push({ what: 'unsent', at, trade });
      const wait = fate > 0.97 ? random.integer(1, 3) : random.integer(4, 30);
      later.push({ after: Math.min(at.trades.length - 1, index + wait), step: { what: 'late', at, trade } });
    } else steps.push({ what: 'trade', at, trade });
    if (random.chance(0.06))
      later.push({ after: Math.min(at.trades.length - 1, index + random.integer(1, 6)), step: { what: 'again', at, trade } });
  }
  return steps;
}

/** Adds lost connections, during which trades continue, and failing history requests. */
function withOutages(steps: readonly Step[], random: Random, withHistory: boolean): Step[] {
  const all: Step[] = [];
  const cuts = random.integer(0, 3);
  const at = new Set(Array.from({ length: cuts }, () => random.integer(0, steps.length)));
  let missing = 0;
  let isUnavailable = false;
  for (const [index, step] of steps.entries()) {
    if (at.has(index)) {
      if (withHistory && random.chance(0.4)) all.push({ what: 'history', answers: '503' });
      all.push({ what: 'cut' });
      isUnavailable = true;
      missing = random.integer(0, Math.min(200, Math.floor(steps.length / 6)));
    }
    const isNearEnd = index > steps.length * 0.9;
    if (isUnavailable && (missing-- <= 0 || isNearEnd)) isUnavailable = false;
    if (isUnavailable && step.what === 'trade') all.push({ ...step, what: 'unsent' });
    else if (!isUnavailable || step.what === 'unsent' || step.what === 'candle') all.push(step);
    if (withHistory && random.chance(0.01)) all.push({ what: 'history', answers: 'right' });
  }
  return all;
}
