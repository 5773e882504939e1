import { type Candle, INTERVAL_MS, INTERVALS, type Interval, openingOf } from '@millrace/contracts';
import { barAt, candleOf, endOf, holds, isInexact } from './bars.ts';
import { type Emit, type Instrument, keptFrom, type MarketRules } from './instrument.ts';

/** Closes every open bar that ends at or before `time`, smallest interval first. */
export function closeDue(state: Instrument, time: number, emit: Emit): void {
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

/** A closed candle that is changed. */
interface PastCandle {
  readonly interval: Interval;
  readonly time: number;
  /** The candle before the change; null when memory had none, or only a part of it. */
  readonly before: Candle | null;
}

/** The closed candles of an interval and its larger intervals that contain a time, including those without data. */
export function pastCandles(state: Instrument, time: number, from: Interval): PastCandle[] {
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

/** Emits the new values of changed past candles, or that the store must compute them. */
export function correctPast(state: Instrument, past: readonly PastCandle[], changed: number, emit: Emit): void {
  const intervals: Interval[] = [];
  for (const { interval, time, before } of past) {
    const bar = barAt(state.bars[interval], time);
    if (!bar || isInexact(bar)) intervals.push(interval);
    else if (!before || !isSameCandle(before, candleOf(bar))) {
      // The store numbers the versions of an inexact bar itself.
      const old = bar.isWhole ? undefined : (true as const);
      emit({ type: 'CandleCorrected', interval, candle: candleOf(bar), version: bar.version + 1, origin: bar.origin, ...(old && { old }) });
    }
  }
  if (intervals.length > 0) emit({ type: 'PastCandlesChanged', time: changed, intervals });
}

/** Whether a candle is in memory, or would be if it had data. */
export function isKept(state: Instrument, rules: MarketRules, interval: Interval, time: number): boolean {
  return time + INTERVAL_MS[interval] >= keptFrom(state, rules) || barAt(state.bars[interval], time) !== undefined;
}

export function isSameCandle(a: Candle, b: Candle): boolean {
  const sameRange = a.open === b.open && a.high === b.high && a.low === b.low && a.close === b.close;
  return sameRange && a.volume === b.volume && a.trades === b.trades;
}
