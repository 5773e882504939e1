import {
  type BookResource,
  type Candle,
  decimalOf,
  INTERVALS,
  type InstrumentId,
  type Instrument as InstrumentResource,
  openingOf,
  pairOf,
  type Quality,
  type QuoteResource,
} from '@millrace/contracts';
import { type Bar, candleOf } from './bars.ts';
import { hasLevels, levelsOf } from './book.ts';
import type { Instrument } from './instrument.ts';

/** The resource of an instrument, from the memory of its zone: always current, without a query. */
export function describeInstrument(id: InstrumentId, state: Instrument): InstrumentResource {
  const { source, base, quote } = pairOf(id);
  const day = state.bars['1d'].at(-1);
  const isToday = day !== undefined && day.time === openingOf(state.newestAt, '1d');
  const minute = state.bars['1m'].at(-1);
  return {
    id,
    source: state.listed?.source ?? source,
    symbol: state.listed?.symbol ?? '',
    base,
    quote,
    simulated: state.listed?.simulated ?? false,
    status: state.status,
    reason: state.reason || null,
    updatedAt: timeOrNull(state.asOf),
    price: state.last?.price ?? newestClose(state),
    dayOpen: isToday ? decimalOf(day.open) : null,
    dayHigh: isToday ? decimalOf(day.high) : null,
    dayLow: isToday ? decimalOf(day.low) : null,
    dayVolume: isToday ? decimalOf(candleOf(day).volume) : '0',
    trades: state.quality.counts.trades,
    spark: minute && !minute.closed ? [...state.minuteCloses, minute.close] : state.minuteCloses,
  };
}

/** Closing price of the newest candle of any interval, of which an instrument without trades may have one only. */
function newestClose({ bars }: Instrument): string | null {
  let newest: Bar | undefined;
  for (const interval of INTERVALS) {
    const bar = bars[interval].at(-1);
    if (bar && (!newest || bar.time > newest.time)) newest = bar;
  }
  return newest ? String(newest.close) : null;
}

export function describeQuote(id: InstrumentId, { quote, status }: Instrument): QuoteResource | undefined {
  if (!quote) return undefined;
  const { time, bid, bidQuantity, ask, askQuantity } = quote;
  return { instrument: id, status, updatedAt: timeOrNull(time), bid, bidQuantity, ask, askQuantity };
}

/** The order book of an instrument; undefined while it has no levels. */
export function describeBook(id: InstrumentId, state: Instrument, depth: number): BookResource | undefined {
  return hasLevels(state.book) ? bookOf(id, state, depth) : undefined;
}

/** The order book of an instrument, which may have no levels. */
export function bookOf(id: InstrumentId, { book, status, reason, quality }: Instrument, depth: number): BookResource {
  return {
    instrument: id,
    status: book.synced ? status : 'stale',
    reason: (book.synced ? reason : book.reason) || null,
    updatedAt: timeOrNull(book.time),
    synced: book.synced,
    bids: levelsOf(book.bids, depth),
    asks: levelsOf(book.asks, depth),
    breaks: quality.counts.bookBreaks,
  };
}

export function describeQuality(id: InstrumentId, { quality }: Instrument): Quality {
  return {
    instrument: id,
    counts: quality.counts,
    gaps: quality.gaps.map(({ from, to, ...gap }) => ({ startedAt: from, endedAt: to, ...gap })),
    differences: quality.differences.map(({ time, ours, theirs, ...difference }) => ({
      ...difference,
      openedAt: time,
      ours: ours && valuesOf(ours),
      theirs: valuesOf(theirs),
    })),
    examples: quality.examples.map(({ kind, time, detail }) => ({ kind, occurredAt: time, detail })),
  };
}

/** A candle without its opening time. */
function valuesOf({ time: _time, ...values }: Candle): Omit<Candle, 'time'> {
  return values;
}

/** Converts a time that is 0 while it is unknown to one that is null. */
export function timeOrNull(time: number): number | null {
  return time > 0 ? time : null;
}
