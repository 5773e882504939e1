import { type InstrumentCommand, isFiniteDecimal, isPositiveDecimal } from '@millrace/contracts';
import { judgeTrade } from './dedup-window.ts';
import type { Emit, Instrument, MarketRules } from './instrument.ts';
import { closeDue, correctPast, isKept, pastCandles } from './past-candles.ts';

/** Number of trades after which the running mean of prices is reliable. */
const TYPICAL_AFTER = 10;

type TradeCommand = InstrumentCommand & { type: 'RecordTrade' };

/** Records a trade, unless it is invalid, a duplicate or too late. Closes and corrects candles. */
export function decideTrade(
  state: Instrument,
  rules: MarketRules,
  { trade, numbered, backfilled = false, from }: TradeCommand,
  emit: Emit,
): void {
  const mark = from && { from };
  const isPrice = state.listed?.negativePrices ? isFiniteDecimal : isPositiveDecimal;
  if (!isPrice(trade.price) || !isPositiveDecimal(trade.quantity)) return emit({ type: 'TradeRefused', trade, reason: 'schema', ...mark });
  const verdict = judgeTrade(state.seen, trade, numbered);
  if (verdict === 'seen') return emit({ type: 'TradeRefused', trade, reason: 'duplicate', ...mark });
  // The source has checked that trades of a history or of a file are new.
  if (verdict === 'too-late' && !backfilled && !from) return emit({ type: 'TradeRefused', trade, reason: 'too-late' });
  closeDue(state, trade.time, emit);
  const past = pastCandles(state, trade.time, '1s');
  const isBeyond = past.some(({ interval, time }) => !isKept(state, rules, interval, time));
  const late = isBeyond ? 'beyond-window' : past.length > 0 ? 'corrected' : undefined;
  const outlier = isOutlier(state, rules, Number(trade.price));
  emit({
    type: 'TradeRecorded',
    trade,
    numbered,
    ...(late && { late }),
    ...(outlier && { outlier: true as const }),
    ...(backfilled && { backfilled: true as const }),
    ...mark,
  });
  correctPast(state, past, trade.time, emit);
}

function isOutlier(state: Instrument, { outlierPercent }: MarketRules, price: number): boolean {
  if (state.quality.counts.trades < TYPICAL_AFTER) return false;
  if (state.typicalSize === undefined) return Math.abs(price / state.typicalPrice - 1) * 100 > outlierPercent;
  return Math.abs(price - state.typicalPrice) * 100 > outlierPercent * state.typicalSize;
}
