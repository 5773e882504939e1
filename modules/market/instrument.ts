import type { InstrumentEvent, Quote, Reading, Trade } from '@millrace/contracts';
import type { Context } from '@millrace/kernel';
import { type Bars, noBars, upcastBars } from './bars.ts';
import { type Book, emptyBook } from './book.ts';
import { type DedupWindow, emptyDedupWindow } from './dedup-window.ts';
import { cleanQuality, type QualityState } from './quality.ts';
import type { RecentReadingsByName } from './recent-readings.ts';

export interface MarketRules {
  readonly lateWindowMs: number;
  readonly outlierPercent: number;
}

/** State of an instrument. */
export interface Instrument {
  /** `negativePrices`: its prices may be zero or negative. */
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
  /** Mean of the absolute prices, to which the distance of an outlier is relative. Absent while all prices were positive: then it equals `typicalPrice`. */
  typicalSize?: number;
  /** Largest number of decimals of a price so far, without trailing zeros. */
  priceDecimals: number;
  quote: Quote | null;
  book: Book;
  bars: Bars;
  /** Memory has no data from before this time, except in candles that contain it (epoch ms). Absent when the instrument was never repaired. */
  rememberedFrom?: number;
  /** Earliest end of an open bar, epoch ms. No bar must be closed before it. */
  nextClose: number;
  seen: DedupWindow;
  /** Number of imported rows of each file. */
  files: Record<string, number>;
  readings: Record<string, Reading>;
  /** Absent in a snapshot that is older than its first reading since. */
  recentReadings?: RecentReadingsByName;
  quality: QualityState;
  /** Close prices of the newest one-minute candles, oldest first, for a sparkline of one hour. */
  minuteCloses: number[];
  /** Opening times of the newest of them, epoch ms. Snapshots of older versions have none. */
  minuteOpenings?: number[];
}

/** Emits an event and applies it. */
export type Emit = Context<InstrumentEvent>['emit'];

/** State of an instrument of which nothing has been received. */
export function newInstrument(): Instrument {
  return {
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
  };
}

/** Converts the state of a snapshot of version 1. */
export function upcastInstrument(state: unknown): Instrument {
  const older = state as Instrument & { seen: { forgottenRank?: number } };
  const { stretches, forgottenRank = Number.NEGATIVE_INFINITY } = older.seen;
  // In version 1 the order of unnumbered trades was in microseconds, and ids had their order.
  const ids = new Map([...older.seen.ids].map(([id, rank]) => [id, rank / 1_000]));
  const seen = { stretches, ids, forgottenAt: forgottenRank / 1_000 };
  return { ...older, seen, files: {}, priceDecimals: 0, bars: upcastBars(older.bars, older.newestAt) };
}

/** Start of the candles in memory, epoch ms. Older trades are too late for them. */
export function keptFrom(state: Instrument, { lateWindowMs }: MarketRules): number {
  return Math.max(state.newestAt - lateWindowMs, state.rememberedFrom ?? Number.NEGATIVE_INFINITY);
}
