import {
  type Candle,
  type FileMark,
  type Gap,
  INTERVAL_MS,
  INTERVALS,
  type InstrumentCommand,
  type InstrumentEvent,
  type Interval,
  isFiniteDecimal,
  isPositiveDecimal,
  openingOf,
  type Quote,
  type Reading,
  type Trade,
} from '@millrace/contracts';
import { type Context, defineZone, type ZoneDefinition } from '@millrace/kernel';
import { addTrade, type Bars, barAt, candleOf, decimalsOf, endOf, holds, isInexact, noBars, prune, setCandle, upcastBars } from './bars.ts';
import { type Book, checksumOf, emptyBook, judge, replace, update } from './book.ts';
import { type DedupWindow, emptyDedupWindow, judgeTrade, markSeen } from './dedup-window.ts';
import { evolveRepaired } from './evolve-repaired.ts';
import { cleanQuality, noteQuality, type QualityState } from './quality.ts';

/** How long after its end a candle waits for its last trades before a quote’s time closes it. */
const CLOSE_GRACE_MS = 1_000;
/** Weight of a new price in the running mean that outliers are measured against: about the newest twenty trades. */
const TYPICAL_WEIGHT = 0.1;
/** Trades before the running mean is worth anything. */
const TYPICAL_AFTER = 10;
/** Relative difference of volumes that is rounding, not disagreement. */
const VOLUME_TOLERANCE = 1e-9;
const MINUTE_CLOSES_MAX = 60;
/** Imported files that are remembered, the newest. */
const FILES_MAX = 16;
/** Beyond this a double has no digits for the price itself. */
const PRICE_DECIMALS_MAX = 12;

export interface MarketRules {
  readonly lateWindowMs: number;
  readonly outlierPercent: number;
}

/** One instrument: everything that is known of it now. */
export interface Instrument {
  /** `negativePrices`: its prices may be zero or below. */
  listed: { source: string; symbol: string; simulated: boolean; negativePrices?: true } | null;
  status: 'live' | 'stale';
  reason: string;
  /** Time of the newest data. */
  asOf: number;
  last: Trade | null;
  /** Time of the first trade ever, and of the newest. */
  firstAt: number;
  newestAt: number;
  typicalPrice: number;
  /** The same mean without signs: what the distance of an outlier is a part of. Missing where all prices were above zero: then it is `typicalPrice`. */
  typicalSize?: number;
  /** Most decimals of any price so far, trailing zeros left out. */
  priceDecimals: number;
  quote: Quote | null;
  book: Book;
  bars: Bars;
  /** Nothing from before this is in memory, except candles that hold it (epoch ms); missing where the instrument was never repaired. */
  rememberedFrom?: number;
  /** When the first of the open bars ends; nothing needs closing before. */
  nextClose: number;
  seen: DedupWindow;
  /** Of each file that was imported, how much of it has been taken. */
  files: Record<string, number>;
  readings: Record<string, Reading>;
  quality: QualityState;
  /** Closes of the newest one-minute candles, oldest first: an hour at a glance. */
  minuteCloses: number[];
}

type Emit = Context<InstrumentEvent>['emit'];
type TradeCommand = InstrumentCommand & { type: 'RecordTrade' };
type CandleCommand = InstrumentCommand & { type: 'RecordCandle' };

/** The zone of one instrument: what came in is checked and remembered, candles are made, the book is kept whole. */
export function instrumentZone(rules: MarketRules): ZoneDefinition<Instrument, InstrumentCommand, InstrumentEvent> {
  const keptFrom = (state: Instrument) => Math.max(state.newestAt - rules.lateWindowMs, state.rememberedFrom ?? Number.NEGATIVE_INFINITY);

  function decideTrade(state: Instrument, { trade, numbered, backfilled = false, from }: TradeCommand, emit: Emit): void {
    const mark = from && { from };
    const isPrice = state.listed?.negativePrices ? isFiniteDecimal : isPositiveDecimal;
    if (!isPrice(trade.price) || !isPositiveDecimal(trade.quantity))
      return emit({ type: 'TradeRefused', trade, reason: 'schema', ...mark });
    const verdict = judgeTrade(state.seen, trade, numbered);
    if (verdict === 'seen') return emit({ type: 'TradeRefused', trade, reason: 'duplicate', ...mark });
    // What was asked of the venue’s past or stands in a file is known not to have come before.
    if (verdict === 'too-late' && !backfilled && !from) return emit({ type: 'TradeRefused', trade, reason: 'too-late' });
    closeDue(state, trade.time, emit);
    const past = pastCandles(state, trade.time, '1s');
    const isBeyond = past.some(({ interval, time }) => !isKept(state, interval, time));
    const late = isBeyond ? 'beyond-window' : past.length > 0 ? 'corrected' : undefined;
    const outlier = isOutlier(state, Number(trade.price));
    emit({
      type: 'TradeRecorded',
      trade,
      numbered,
      ...(late && { late }),
      ...(outlier && { outlier: true as const }),
      ...(backfilled && { backfilled: true as const }),
      ...mark,
    });
    correct(state, past, trade.time, emit);
  }

  function isOutlier(state: Instrument, price: number): boolean {
    if (state.quality.counts.trades < TYPICAL_AFTER) return false;
    if (state.typicalSize === undefined) return Math.abs(price / state.typicalPrice - 1) * 100 > rules.outlierPercent;
    return Math.abs(price - state.typicalPrice) * 100 > rules.outlierPercent * state.typicalSize;
  }

  function isKept(state: Instrument, interval: Interval, time: number): boolean {
    return time + INTERVAL_MS[interval] >= keptFrom(state) || barAt(state.bars[interval], time) !== undefined;
  }

  /** A candle that is the data itself, or one that takes the place of what a gap has spoilt. */
  function decideCandle(
    state: Instrument,
    { interval, candle, forming = false, replacesIncomplete = false, from }: CandleCommand,
    emit: Emit,
  ): void {
    const mark = from && { from };
    const known = barAt(state.bars[interval], candle.time);
    const isKnown = known?.origin === 'venue' && isSameCandle(candleOf(known), candle);
    if (isKnown && (forming || known.closed)) return;
    if (!isKept(state, interval, candle.time)) {
      if (forming) return;
      const larger = pastCandles(state, candle.time, interval).filter((one) => one.interval !== interval);
      emit({ type: 'CandleRecorded', interval, candle, ...mark });
      if (replacesIncomplete) emit({ type: 'CandleCorrected', interval, candle, version: 2, origin: 'venue', old: true });
      else emit({ type: 'CandleClosed', interval, candle, origin: 'venue', old: true });
      return correct(state, larger, candle.time, emit);
    }
    closeDue(state, candle.time, emit);
    const past = isKnown ? [] : pastCandles(state, candle.time, interval);
    if (!isKnown) emit({ type: 'CandleRecorded', interval, candle, ...mark });
    const isCorrected = past.some((one) => one.interval === interval);
    if (!isCorrected && !forming) emit({ type: 'CandleClosed', interval, candle, origin: 'venue' });
    correct(state, past, candle.time, emit);
  }

  function decideVenueCandle(state: Instrument, interval: Interval, theirs: Candle, emit: Emit): void {
    const bar = barAt(state.bars[interval], theirs.time);
    const ours = bar ? candleOf(bar) : null;
    const agrees = ours !== null && agree(ours, theirs);
    const partial = state.firstAt > theirs.time || state.quality.gaps.some((gap) => touches(gap, theirs.time, interval));
    if (ours === null && theirs.volume === 0) return;
    emit({ type: 'VenueCandleCompared', interval, time: theirs.time, ours, theirs, agrees, partial });
  }

  function evolveTrade(state: Instrument, trade: Trade, numbered: boolean, outlier: boolean): void {
    markSeen(state.seen, trade, numbered);
    // Minus zero is zero.
    const price = Number(trade.price) + 0;
    const { time, order, quantity } = trade;
    addTrade(state.bars, { time, order, price, quantity: Number(quantity), decimals: decimalsOf(quantity) }, keptFrom(state));
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

  function evolveCandle(state: Instrument, interval: Interval, candle: Candle): void {
    state.newestAt = Math.max(state.newestAt, candle.time);
    state.asOf = Math.max(state.asOf, candle.time);
    if (state.firstAt === 0) state.firstAt = candle.time;
    setCandle(state.bars, interval, candle, keptFrom(state));
    for (const value of [candle.open, candle.high, candle.low, candle.close]) notePrice(state, String(value));
    if (barAt(state.bars[interval], candle.time)) state.nextClose = Math.min(state.nextClose, candle.time + INTERVAL_MS[interval]);
  }

  function evolveClosed(state: Instrument, interval: Interval, { time, close }: Candle): void {
    if (interval === '1m' && state.bars['1m'].at(-1)?.time === time) {
      state.minuteCloses.push(close);
      if (state.minuteCloses.length > MINUTE_CLOSES_MAX) state.minuteCloses.shift();
    }
    const bar = barAt(state.bars[interval], time);
    if (bar) {
      bar.closed = true;
      bar.version = Math.max(bar.version, 1);
    }
    prune(state.bars, interval, keptFrom(state));
    state.nextClose = Number.POSITIVE_INFINITY;
    for (const each of INTERVALS) {
      const newest = state.bars[each].at(-1);
      if (newest && !newest.closed) state.nextClose = Math.min(state.nextClose, endOf(newest, each));
    }
  }

  return defineZone<Instrument, InstrumentCommand, InstrumentEvent>({
    kind: 'instrument',
    version: 2,
    create: () => ({
      listed: null,
      status: 'stale',
      reason: 'nothing has been received yet',
      asOf: 0,
      last: null,
      firstAt: 0,
      newestAt: 0,
      typicalPrice: 0,
      priceDecimals: 0,
      quote: null,
      book: emptyBook(),
      bars: noBars(),
      nextClose: Number.POSITIVE_INFINITY,
      seen: emptyDedupWindow(),
      files: {},
      readings: {},
      quality: cleanQuality(),
      minuteCloses: [],
    }),

    decide(state, command, { emit }) {
      switch (command.type) {
        case 'RecordTrade':
          return decideTrade(state, command, emit);
        case 'ObserveQuote':
          if (!command.untimed) closeDue(state, command.quote.time - CLOSE_GRACE_MS, emit);
          if (isSameQuote(state.quote, command.quote)) return;
          return emit({ type: 'QuoteChanged', quote: command.quote });
        case 'ReplaceBook':
          return emit({ type: 'BookReplaced', book: command.book });
        case 'UpdateBook':
          return decideBookUpdate(state, command.book, emit);
        case 'LoseBook': {
          const { reason, time } = command;
          if (state.book.synced || (hasLevels(state.book) && state.book.reason !== reason)) emit({ type: 'BookLost', reason, time });
          return;
        }
        case 'ObserveVenueCandle':
          if (command.closed) decideVenueCandle(state, command.interval, command.candle, emit);
          return;
        case 'RecordCandle':
          return decideCandle(state, command, emit);
        case 'RecordReading':
          if (isSameReading(state.readings[command.reading.name], command.reading)) return;
          return emit({ type: 'ReadingRecorded', reading: command.reading, ...(command.from && { from: command.from }) });
        case 'RecordGap':
          return emit({ type: 'GapRecorded', gap: command.gap });
        case 'RecordRepair': {
          const { left, ...repair } = command;
          emit({ ...repair, type: 'GapRepaired' });
          for (const gap of left) emit({ type: 'GapRecorded', gap });
          return;
        }
        case 'RecordFault':
          return emit({ type: 'FeedFaulted', fault: command.fault, detail: command.detail, time: command.time, count: command.count });
        case 'RepairInstrument':
          return emit({ ...command, type: 'InstrumentMended' });
        case 'MarkStale':
          if (state.status !== 'stale' || state.reason !== command.reason)
            emit({ type: 'WentStale', reason: command.reason, time: command.time });
          return;
        case 'MarkLive':
          if (state.status !== 'live') emit({ type: 'WentLive', time: command.time });
          return;
        case 'ListInstrument': {
          const { source, symbol, simulated, negativePrices = false } = command;
          const { listed } = state;
          const isSame = listed?.source === source && listed.symbol === symbol && listed.simulated === simulated;
          if (!isSame || (listed.negativePrices ?? false) !== negativePrices)
            emit({ type: 'InstrumentListed', source, symbol, simulated, ...(negativePrices && { negativePrices }) });
        }
      }
    },

    evolve(state, event) {
      noteQuality(state.quality, event);
      if ('from' in event && typeof event.from === 'object') noteFile(state, event.from);
      switch (event.type) {
        case 'InstrumentListed':
          state.listed = {
            source: event.source,
            symbol: event.symbol,
            simulated: event.simulated,
            ...(event.negativePrices && { negativePrices: true }),
          };
          return;
        case 'TradeRecorded':
          return evolveTrade(state, event.trade, event.numbered, event.outlier ?? false);
        case 'CandleRecorded':
          return evolveCandle(state, event.interval, event.candle);
        case 'CandleClosed':
          return evolveClosed(state, event.interval, event.candle);
        case 'PastCandlesChanged':
          return evolvePast(state, event.intervals, event.time);
        case 'CandleCorrected':
          return evolveCorrected(state, event.interval, event.candle.time, event.version);
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
          state.readings[event.reading.name] = event.reading;
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
    },

    upcast: (event) => event as InstrumentEvent,
    upcastState: (state) => {
      const older = state as Instrument & { seen: { forgottenRank?: number } };
      const { stretches, forgottenRank = Number.NEGATIVE_INFINITY } = older.seen;
      // A rank was microseconds where trades had no number, and ids had their ranks.
      const ids = new Map([...older.seen.ids].map(([id, rank]) => [id, rank / 1_000]));
      const seen = { stretches, ids, forgottenAt: forgottenRank / 1_000 };
      return { ...older, seen, files: {}, priceDecimals: 0, bars: upcastBars(older.bars, older.newestAt) };
    },
  });
}

/** Closes every open bar that ends at or before `time`, smallest interval first. */
function closeDue(state: Instrument, time: number, emit: Emit): void {
  while (time >= state.nextClose) {
    let closed = 0;
    for (const interval of INTERVALS) {
      const bar = state.bars[interval].at(-1);
      if (!bar || bar.closed || time < endOf(bar, interval)) continue;
      emit({ type: 'CandleClosed', interval, candle: candleOf(bar), origin: bar.origin });
      if (isInexact(bar)) emit({ type: 'PastCandlesChanged', time: bar.time, intervals: [interval] });
      closed++;
    }
    if (closed === 0) return;
  }
}

/** A candle that something changes although it is closed. */
interface PastCandle {
  readonly interval: Interval;
  readonly time: number;
  /** What it was before; null when nothing was known of it, or only a part. */
  readonly before: Candle | null;
}

/** The closed candles of an interval and of those it is part of that hold a time, those included that nothing is known of yet. */
function pastCandles(state: Instrument, time: number, from: Interval): PastCandle[] {
  const found: PastCandle[] = [];
  for (const interval of INTERVALS) {
    if (interval !== from && !holds(interval, from)) continue;
    const newest = state.bars[interval].at(-1);
    if (newest && !newest.closed && time >= newest.time && time < endOf(newest, interval)) continue;
    const opening = openingOf(time, interval);
    const bar = barAt(state.bars[interval], opening);
    if (bar ? bar.closed : opening + INTERVAL_MS[interval] <= state.newestAt)
      found.push({ interval, time: opening, before: bar && !isInexact(bar) ? candleOf(bar) : null });
  }
  return found;
}

/** Tells of the past candles that have changed: what they are now, or that the store has to make them anew. */
function correct(state: Instrument, past: readonly PastCandle[], changed: number, emit: Emit): void {
  const intervals: Interval[] = [];
  for (const { interval, time, before } of past) {
    const bar = barAt(state.bars[interval], time);
    if (!bar || isInexact(bar)) intervals.push(interval);
    else if (!before || !isSameCandle(before, candleOf(bar))) {
      // Of a bar that was inexact the store has numbered versions itself.
      const old = bar.isWhole ? undefined : (true as const);
      emit({ type: 'CandleCorrected', interval, candle: candleOf(bar), version: bar.version + 1, origin: bar.origin, ...(old && { old }) });
    }
  }
  if (intervals.length > 0) emit({ type: 'PastCandlesChanged', time: changed, intervals });
}

/** The store has these candles, closed: what is known of them here is a part of them. */
function evolvePast(state: Instrument, intervals: readonly Interval[], time: number): void {
  for (const interval of intervals) {
    const bar = barAt(state.bars[interval], openingOf(time, interval));
    if (bar) bar.closed = true;
  }
}

function evolveCorrected(state: Instrument, interval: Interval, time: number, version: number): void {
  const bar = barAt(state.bars[interval], time);
  if (!bar) return;
  bar.version = version;
  bar.closed = true;
}

function decideBookUpdate(state: Instrument, book: Parameters<typeof update>[1], emit: Emit): void {
  if (!state.book.synced) return;
  const verdict = judge(state.book, book.continuity);
  if (verdict === 'old') return;
  if (verdict !== 'next') return emit({ type: 'BookBroken', reason: verdict.lost, time: book.time });
  emit({ type: 'BookUpdated', book });
  const expected = book.continuity?.checksum;
  if (expected === undefined) return;
  const actual = checksumOf(state.book);
  if (actual !== expected) emit({ type: 'BookBroken', reason: `the checksum is ${actual}, the venue says ${expected}`, time: book.time });
}

/** Moves the running mean that outliers are measured against. */
function noteTypical(state: Instrument, price: number, isOutlier: boolean): void {
  // After a real jump every trade is an outlier to the old mean: it has to follow, only more slowly.
  const weight = isOutlier ? TYPICAL_WEIGHT * TYPICAL_WEIGHT : TYPICAL_WEIGHT;
  const isFirst = state.typicalPrice === 0 && state.typicalSize === undefined;
  if (price <= 0 && state.typicalSize === undefined) state.typicalSize = isFirst ? Math.abs(price) : state.typicalPrice;
  if (isFirst) {
    state.typicalPrice = price;
    return;
  }
  state.typicalPrice += (price - state.typicalPrice) * weight;
  if (state.typicalSize !== undefined) state.typicalSize += (Math.abs(price) - state.typicalSize) * weight;
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
  // Most prices have no more decimals than those before them, whatever zeros they end with.
  if (price.length - price.indexOf('.') - 1 <= state.priceDecimals) return;
  const decimals = decimalsOf(price.includes('.') ? price.replace(/0+$/, '') : price);
  if (decimals > state.priceDecimals && decimals <= PRICE_DECIMALS_MAX) state.priceDecimals = decimals;
}

function hasLevels({ bids, asks }: Book): boolean {
  return bids.length > 0 || asks.length > 0;
}

/** Whether a trade stands before another: by time, then by the venue’s order. */
function isBefore(one: Trade, other: Trade): boolean {
  return one.time < other.time || (one.time === other.time && one.order < other.order);
}

function isSameCandle(a: Candle, b: Candle): boolean {
  const sameRange = a.open === b.open && a.high === b.high && a.low === b.low && a.close === b.close;
  return sameRange && a.volume === b.volume && a.trades === b.trades;
}

function isSameReading(a: Reading | undefined, b: Reading): boolean {
  return a?.time === b.time && a.value === b.value;
}

function isSameQuote(a: Quote | null, b: Quote): boolean {
  return a !== null && a.bid === b.bid && a.ask === b.ask && a.bidQuantity === b.bidQuantity && a.askQuantity === b.askQuantity;
}

function agree(ours: Candle, theirs: Candle): boolean {
  const sameVolume = Math.abs(ours.volume - theirs.volume) <= VOLUME_TOLERANCE * Math.max(ours.volume, theirs.volume);
  return sameVolume && ours.open === theirs.open && ours.high === theirs.high && ours.low === theirs.low && ours.close === theirs.close;
}

function touches(gap: Gap, time: number, interval: Interval): boolean {
  return gap.from < time + INTERVAL_MS[interval] && gap.to > time;
}
