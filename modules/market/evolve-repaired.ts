import { INTERVALS, type InstrumentRepair, type Quote, type Reading, type Trade } from '@millrace/contracts';
import { type Bars, endOf, noBars, reopenedBar } from './bars.ts';
import { type Book, emptyBook } from './book.ts';
import { type DedupWindow, forget } from './dedup-window.ts';

/** The parts of an instrument’s state (zone.ts) that a repair changes. */
interface Repairable {
  last: Trade | null;
  firstAt: number;
  newestAt: number;
  asOf: number;
  rememberedFrom?: number;
  bars: Bars;
  nextClose: number;
  minuteCloses: number[];
  seen: DedupWindow;
  quote: Quote | null;
  book: Book;
  readings: Record<string, Reading>;
}

/** Applies a repair: the state becomes what it is without the withdrawn data. Candles that are no longer in memory are corrected in the series store. */
export function evolveRepaired(state: Repairable, { after, newestAt, withdrawn, last, candles }: InstrumentRepair): void {
  forget(state.seen, withdrawn, after);
  state.last = last;
  state.newestAt = newestAt;
  state.asOf = newestAt;
  if (state.firstAt > after) state.firstAt = newestAt;
  // Everything up to `newestAt` is in the candles that are open again, or only in the store.
  state.rememberedFrom = newestAt + 1;
  state.bars = noBars();
  for (const { interval, ...candle } of candles) state.bars[interval].push(reopenedBar(candle));
  state.nextClose = Number.POSITIVE_INFINITY;
  for (const interval of INTERVALS) {
    const bar = state.bars[interval].at(-1);
    if (bar && !bar.closed) state.nextClose = Math.min(state.nextClose, endOf(bar, interval));
  }
  state.minuteCloses = [];
  if (state.quote && state.quote.time > after) state.quote = null;
  if (state.book.time > after) state.book = emptyBook();
  for (const [name, { time }] of Object.entries(state.readings)) if (time > after) delete state.readings[name];
  if (state.quote) state.asOf = Math.max(state.asOf, state.quote.time);
  for (const { time } of Object.values(state.readings)) state.asOf = Math.max(state.asOf, time);
}
