import { type Candle, type Gap, INTERVAL_MS, type InstrumentCommand, type Interval } from '@millrace/contracts';
import { barAt, candleOf } from './bars.ts';
import type { Emit, Instrument, MarketRules } from './instrument.ts';
import { closeDue, correctPast, isKept, isSameCandle, pastCandles } from './past-candles.ts';

/** Relative difference of volumes below which they count as equal. */
const VOLUME_TOLERANCE = 1e-9;

type CandleCommand = InstrumentCommand & { type: 'RecordCandle' };

/** Records a candle of a feed without trades, or one that replaces a candle with a gap. */
export function decideCandle(
  state: Instrument,
  rules: MarketRules,
  { interval, candle, forming = false, replacesIncomplete = false, from }: CandleCommand,
  emit: Emit,
): void {
  const mark = from && { from };
  const known = barAt(state.bars[interval], candle.time);
  const isKnown = known?.origin === 'venue' && isSameCandle(candleOf(known), candle);
  if (isKnown && (forming || known.closed)) return;
  if (!isKept(state, rules, interval, candle.time)) {
    if (forming) return;
    const larger = pastCandles(state, candle.time, interval).filter((one) => one.interval !== interval);
    emit({ type: 'CandleRecorded', interval, candle, ...mark });
    if (replacesIncomplete) emit({ type: 'CandleCorrected', interval, candle, version: 2, origin: 'venue', old: true });
    else emit({ type: 'CandleClosed', interval, candle, origin: 'venue', old: true });
    return correctPast(state, larger, candle.time, emit);
  }
  closeDue(state, candle.time, emit);
  const past = isKnown ? [] : pastCandles(state, candle.time, interval);
  if (!isKnown) emit({ type: 'CandleRecorded', interval, candle, ...mark });
  const isCorrected = past.some((one) => one.interval === interval);
  if (!isCorrected && !forming) emit({ type: 'CandleClosed', interval, candle, origin: 'venue' });
  correctPast(state, past, candle.time, emit);
}

/** Compares a candle of the venue with ours. */
export function decideVenueCandle(state: Instrument, interval: Interval, theirs: Candle, emit: Emit): void {
  const bar = barAt(state.bars[interval], theirs.time);
  const ours = bar ? candleOf(bar) : null;
  const agrees = ours !== null && agree(ours, theirs);
  const partial = state.firstAt > theirs.time || state.quality.gaps.some((gap) => touches(gap, theirs.time, interval));
  if (ours === null && theirs.volume === 0) return;
  emit({ type: 'VenueCandleCompared', interval, time: theirs.time, ours, theirs, agrees, partial });
}

function agree(ours: Candle, theirs: Candle): boolean {
  const sameVolume = Math.abs(ours.volume - theirs.volume) <= VOLUME_TOLERANCE * Math.max(ours.volume, theirs.volume);
  return sameVolume && ours.open === theirs.open && ours.high === theirs.high && ours.low === theirs.low && ours.close === theirs.close;
}

function touches(gap: Gap, time: number, interval: Interval): boolean {
  return gap.from < time + INTERVAL_MS[interval] && gap.to > time;
}
