import { type BookResource, type Instrument as InstrumentResource, type InstrumentId, openingOf, pairOf, type Quality, type QuoteResource } from '@millrace/contracts';
import { candleOf } from './bars.ts';
import { levelsOf } from './book.ts';
import type { Instrument } from './zone.ts';

/** Points of a sparkline: an hour of one-minute closes. */
const SPARK_POINTS = 60;

/** What an instrument is to the outside: read from the zone’s memory, so it is as fresh as can be and costs no query. */
export function describeInstrument(id: InstrumentId, state: Instrument): InstrumentResource {
  const { source, base, quote } = pairOf(id);
  const day = state.bars['1d'].at(-1);
  const isToday = day !== undefined && day.time === openingOf(state.newestAt, '1d');
  const closed = state.bars['1m'].slice(-SPARK_POINTS);
  return {
    id,
    source: state.listed?.source ?? source,
    symbol: state.listed?.symbol ?? '',
    base,
    quote,
    simulated: state.listed?.simulated ?? false,
    status: state.status,
    reason: state.reason,
    asOf: state.asOf,
    price: state.last?.price ?? (closed.length > 0 ? String(closed.at(-1)?.close) : null),
    dayOpen: isToday ? day.open : null,
    dayHigh: isToday ? day.high : null,
    dayLow: isToday ? day.low : null,
    dayVolume: isToday ? candleOf(day).volume : 0,
    trades: state.quality.counts.trades,
    spark: closed.map(({ close }) => close),
  };
}

export function describeQuote(id: InstrumentId, { quote, status }: Instrument): QuoteResource | undefined {
  if (!quote) return undefined;
  const { time, bid, bidQuantity, ask, askQuantity } = quote;
  return { instrument: id, status, asOf: time, bid, bidQuantity, ask, askQuantity };
}

export function describeBook(id: InstrumentId, { book, status, quality }: Instrument, depth: number): BookResource | undefined {
  if (book.bids.length === 0 && book.asks.length === 0) return undefined;
  return {
    instrument: id,
    status,
    asOf: book.time,
    synced: book.synced,
    bids: levelsOf(book.bids, depth),
    asks: levelsOf(book.asks, depth),
    breaks: quality.counts.bookBreaks,
  };
}

export function describeQuality(id: InstrumentId, { quality }: Instrument): Quality {
  return { instrument: id, ...quality };
}
