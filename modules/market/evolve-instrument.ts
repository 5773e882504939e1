import {
  type Candle,
  type FileMark,
  INTERVAL_MS,
  INTERVALS,
  type InstrumentEvent,
  type Interval,
  openingOf,
  type Trade,
} from '@millrace/contracts';
import { addTrade, barAt, decimalsOf, endOf, prune, setCandle } from './bars.ts';
import { replace, update } from './book.ts';
import { markSeen } from './dedup-window.ts';
import { evolveRepaired } from './evolve-repaired.ts';
import { type Instrument, keptFrom, type MarketRules } from './instrument.ts';
import { noteMinuteClose } from './minute-closes.ts';
import { noteQuality } from './quality.ts';
import { recentReadingsOf, rememberReading } from './recent-readings.ts';

/** Weight of a new price in the running mean for outliers: about the newest twenty trades. */
const TYPICAL_WEIGHT = 0.1;
/** Number of newest imported files that are remembered. */
const FILES_MAX = 16;
/** Maximum number of decimals: with more, a double has no digits left for the price. */
const PRICE_DECIMALS_MAX = 12;

/** Applies an event to the state of an instrument. */
export function evolveInstrument(state: Instrument, rules: MarketRules, event: InstrumentEvent): void {
  noteQuality(state.quality, event);
  if ('from' in event && typeof event.from === 'object') noteFile(state, event.from);
  switch (event.type) {
    case 'InstrumentListed':
      return evolveListed(state, event);
    case 'TradeRecorded':
      return evolveTrade(state, rules, event.trade, event.numbered, event.outlier ?? false);
    case 'CandleRecorded':
      return evolveCandle(state, rules, event.interval, event.candle);
    case 'CandleClosed':
      return evolveClosed(state, rules, event.interval, event.candle);
    case 'PastCandlesChanged':
      return evolvePast(state, event.intervals, event.time);
    case 'CandleCorrected':
      return evolveCorrected(state, event.interval, event.candle, event.version);
    case 'QuoteChanged':
      state.quote = event.quote;
      state.asOf = Math.max(state.asOf, event.quote.time);
      return;
    case 'BookReplaced':
      return replace(state.book, event.book);
    case 'BookUpdated':
      return update(state.book, event.book);
    case 'BookBroken':
    case 'BookLost':
      state.book.synced = false;
      state.book.reason = event.reason;
      return;
    case 'ReadingRecorded':
      state.recentReadings ??= recentReadingsOf(Object.values(state.readings));
      state.readings[event.reading.name] = event.reading;
      rememberReading(state.recentReadings, event.reading);
      state.asOf = Math.max(state.asOf, event.reading.time);
      return;
    case 'InstrumentMended':
      return evolveRepaired(state, event);
    case 'WentStale':
      state.status = 'stale';
      state.reason = event.reason;
      return;
    case 'WentLive':
      state.status = 'live';
      state.reason = '';
  }
}

function evolveListed(
  state: Instrument,
  { source, symbol, simulated, negativePrices }: Extract<InstrumentEvent, { type: 'InstrumentListed' }>,
): void {
  state.listed = { source, symbol, simulated, ...(negativePrices && { negativePrices: true }) };
}

function evolveTrade(state: Instrument, rules: MarketRules, trade: Trade, numbered: boolean, outlier: boolean): void {
  markSeen(state.seen, trade, numbered);
  // Minus zero is zero.
  const price = Number(trade.price) + 0;
  const { time, order, quantity } = trade;
  addTrade(state.bars, { time, order, price, quantity: Number(quantity), decimals: decimalsOf(quantity) }, keptFrom(state, rules));
  if (state.last === null || !isBefore(trade, state.last)) state.last = trade;
  if (state.firstAt === 0 || trade.time < state.firstAt) state.firstAt = trade.time;
  if (trade.time > state.newestAt) {
    state.newestAt = trade.time;
    if (trade.time > state.asOf) state.asOf = trade.time;
  }
  notePrice(state, trade.price);
  noteTypical(state, price, outlier);
  state.nextClose = Math.min(state.nextClose, openingOf(trade.time, '1s') + INTERVAL_MS['1s']);
}

function evolveCandle(state: Instrument, rules: MarketRules, interval: Interval, candle: Candle): void {
  state.newestAt = Math.max(state.newestAt, candle.time);
  state.asOf = Math.max(state.asOf, candle.time);
  if (state.firstAt === 0) state.firstAt = candle.time;
  setCandle(state.bars, interval, candle, keptFrom(state, rules));
  for (const value of [candle.open, candle.high, candle.low, candle.close]) notePrice(state, String(value));
  if (barAt(state.bars[interval], candle.time)) state.nextClose = Math.min(state.nextClose, candle.time + INTERVAL_MS[interval]);
}

function evolveClosed(state: Instrument, rules: MarketRules, interval: Interval, candle: Candle): void {
  if (interval === '1m') noteMinuteClose(state, candle);
  const bar = barAt(state.bars[interval], candle.time);
  if (bar) {
    bar.closed = true;
    bar.version = Math.max(bar.version, 1);
  }
  prune(state.bars, interval, keptFrom(state, rules));
  state.nextClose = Number.POSITIVE_INFINITY;
  for (const each of INTERVALS) {
    const newest = state.bars[each].at(-1);
    if (newest && !newest.closed) state.nextClose = Math.min(state.nextClose, endOf(newest, each));
  }
}

/** Closes candles that the store has. Memory has only a part of them. */
function evolvePast(state: Instrument, intervals: readonly Interval[], time: number): void {
  for (const interval of intervals) {
    const bar = barAt(state.bars[interval], openingOf(time, interval));
    if (bar) bar.closed = true;
  }
}

function evolveCorrected(state: Instrument, interval: Interval, candle: Candle, version: number): void {
  if (interval === '1m') noteMinuteClose(state, candle);
  const bar = barAt(state.bars[interval], candle.time);
  if (!bar) return;
  bar.version = version;
  bar.closed = true;
}

/** Updates the running mean for outliers. */
function noteTypical(state: Instrument, price: number, isOutlier: boolean): void {
  // After a real jump every trade is an outlier. The mean follows them, more slowly.
  const weight = isOutlier ? TYPICAL_WEIGHT * TYPICAL_WEIGHT : TYPICAL_WEIGHT;
  const isFirst = state.typicalPrice === 0 && state.typicalSize === undefined;
  if (price <= 0 && state.typicalSize === undefined) state.typicalSize = isFirst ? Math.abs(price) : state.typicalPrice;
  if (isFirst) {
    state.typicalPrice = price;
    return;
  }
  // However far an outlier is, it moves the mean by 1 % at most: one wrong price must not make the right ones after it outliers.
  const size = state.typicalSize ?? state.typicalPrice;
  const step = (distance: number) => (isOutlier && size > 0 ? Math.max(-size, Math.min(size, distance)) : distance) * weight;
  const [priceStep, sizeStep] = [step(price - state.typicalPrice), step(Math.abs(price) - size)];
  state.typicalPrice += priceStep;
  if (state.typicalSize !== undefined) state.typicalSize += sizeStep;
}

function noteFile(state: Instrument, { file, at }: FileMark): void {
  const known = state.files[file] ?? 0;
  if (known === 0) {
    const [oldest, ...others] = Object.keys(state.files);
    if (oldest !== undefined && others.length >= FILES_MAX - 1) delete state.files[oldest];
  }
  state.files[file] = Math.max(known, at);
}

function notePrice(state: Instrument, price: string): void {
  // Fast path: most prices have no more decimals than the previous ones, without trailing zeros.
  if (price.length - price.indexOf('.') - 1 <= state.priceDecimals) return;
  const [mantissa = '', exponent = '0'] = price.toLowerCase().split('e');
  const decimals = decimalsOf(mantissa.includes('.') ? mantissa.replace(/0+$/, '') : mantissa) - Number(exponent);
  if (decimals > state.priceDecimals && decimals <= PRICE_DECIMALS_MAX) state.priceDecimals = decimals;
}

/** Whether a trade is before another: by time, then by the order of the venue. */
function isBefore(one: Trade, other: Trade): boolean {
  return one.time < other.time || (one.time === other.time && one.order < other.order);
}
