import type { Gap, Trade } from '@millrace/contracts';
import { areNear, LOST_TRADES_MAX } from './trade-numbers.ts';

/** Reason of a gap that the venue’s history has as well. */
export const NOT_IN_HISTORY = 'the venue’s history does not have it';

/** Whether a trade stands behind another: by its number, else by its time and its order within that. */
export function isAfter(one: Trade, other: Trade, numbered = false): boolean {
  return numbered || one.time === other.time ? one.order > other.order : one.time > other.time;
}

/** Whether a trade’s id is its rank, as it is where venues number them. */
export function isNumbered(trade: Trade): boolean {
  return trade.id === String(trade.order);
}

/** The gap between two trades, with the number of missing trades where their numbers tell it. */
export function gapBetween(last: Trade, first: Trade, reason: string, isCounted = true): Gap {
  const missing = first.order - last.order - 1;
  const isLoss = isCounted && missing >= 0 && (missing <= LOST_TRADES_MAX || areNear(first, last));
  return { from: last.time, to: first.time, afterId: last.id, beforeId: first.id, ...(isLoss && { missing }), reason };
}
