import { INTERVALS, type InstrumentMending, type Quote, type Reading, type Trade } from '@millrace/contracts';
import { type Bars, endOf, noBars, reopenedBar } from './bars.ts';
import { type Book, emptyBook } from './book.ts';
import { forget, type Seen } from './seen.ts';

/** What mending changes of an instrument; see zone.ts. */
interface Mendable {
  last: Trade | null;
  firstAt: number;
  newestAt: number;
  asOf: number;
  rememberedFrom?: number;
  bars: Bars;
  nextClose: number;
  minuteCloses: number[];
  seen: Seen;
  quote: Quote | null;
  book: Book;
  readings: Record<string, Reading>;
}

/** Takes an instrument back to what it is without what was withdrawn. Candles that are not in memory any more are in the store, which corrects them. */
export function evolveMended(state: Mendable, { after, newestAt, withdrawn, last, candles }: InstrumentMending): void {
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
