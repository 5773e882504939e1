import { INTERVALS, type InstrumentRepair } from '@millrace/contracts';
import { endOf, noBars, reopenedBar } from './bars.ts';
import { emptyBook } from './book.ts';
import { forget } from './dedup-window.ts';
import type { Instrument } from './instrument.ts';
import { forgetReadingsAfter } from './recent-readings.ts';

/** Applies a repair: the state becomes what it is without the withdrawn data. Candles that are no longer in memory are corrected in the series store. */
export function evolveRepaired(state: Instrument, { after, newestAt, withdrawn, last, candles }: InstrumentRepair): void {
  forget(state.seen, withdrawn, after);
  state.last = last;
  state.newestAt = newestAt;
  state.asOf = newestAt;
  if (state.firstAt > after) state.firstAt = newestAt;
  // All data up to `newestAt` is in the reopened candles, or only in the store.
  state.rememberedFrom = newestAt + 1;
  state.bars = noBars();
  for (const { interval, ...candle } of candles) state.bars[interval].push(reopenedBar(candle));
  state.nextClose = Number.POSITIVE_INFINITY;
  for (const interval of INTERVALS) {
    const bar = state.bars[interval].at(-1);
    if (bar && !bar.closed) state.nextClose = Math.min(state.nextClose, endOf(bar, interval));
  }
  state.minuteCloses = [];
  state.minuteOpenings = [];
  if (state.quote && state.quote.time > after) state.quote = null;
  if (state.book.time > after) state.book = emptyBook();
  for (const [name, { time }] of Object.entries(state.readings)) if (time > after) delete state.readings[name];
  if (state.recentReadings) forgetReadingsAfter(state.recentReadings, after);
  if (state.quote) state.asOf = Math.max(state.asOf, state.quote.time);
  for (const { time } of Object.values(state.readings)) state.asOf = Math.max(state.asOf, time);
}
