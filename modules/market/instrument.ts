import type { InstrumentEvent, Quote, Reading, Trade } from '@millrace/contracts';
import type { Context } from '@millrace/kernel';
import { type Bars, noBars, upcastBars } from './bars.ts';
import { type Book, emptyBook } from './book.ts';
import { type DedupWindow, emptyDedupWindow } from './dedup-window.ts';
import { cleanQuality, type QualityState } from './quality.ts';

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

/** Emits an event; the state follows at once. */
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

/** State of a snapshot from before version 2 as it is now. */
export function upcastInstrument(state: unknown): Instrument {
  const older = state as Instrument & { seen: { forgottenRank?: number } };
  const { stretches, forgottenRank = Number.NEGATIVE_INFINITY } = older.seen;
  // A rank was microseconds where trades had no number, and ids had their ranks.
  const ids = new Map([...older.seen.ids].map(([id, rank]) => [id, rank / 1_000]));
  const seen = { stretches, ids, forgottenAt: forgottenRank / 1_000 };
  return { ...older, seen, files: {}, priceDecimals: 0, bars: upcastBars(older.bars, older.newestAt) };
}

/** From when on candles are in memory, epoch ms: trades that are older come too late for them. */
export function keptFrom(state: Instrument, { lateWindowMs }: MarketRules): number {
  return Math.max(state.newestAt - lateWindowMs, state.rememberedFrom ?? Number.NEGATIVE_INFINITY);
}
