import type { Gap, Trade } from '@millrace/contracts';
import { areNear, LOST_TRADES_MAX } from './trade-numbers.ts';

/** Reason of a gap that the history of the venue has as well. */
export const NOT_IN_HISTORY = 'the venue’s history does not have it';

/** Reason of a gap at whose end the history of the venue begins. */
export const BEGINS_LATER = 'the venue’s history begins later';

/** A gap of a venue that sends trades out of order: they may be older or newer than those around the gap, by `disorderMs`. */
export function widened(gap: Gap, disorderMs: number): Gap {
  return { ...gap, from: gap.from - disorderMs, to: gap.to + disorderMs };
}

/** Whether a trade is after another: by number, else by time and the order within that time. */
export function isAfter(one: Trade, other: Trade, numbered = false): boolean {
  return numbered || one.time === other.time ? one.order > other.order : one.time > other.time;
}

/** Whether the id of a trade is its number. */
export function isNumbered(trade: Trade): boolean {
  return trade.id === String(trade.order);
}

/** The gap between two trades, with the number of missing trades when the trades are numbered. */
export function gapBetween(last: Trade, first: Trade, reason: string, isCounted = true): Gap {
  const missing = first.order - last.order - 1;
  const isLoss = isCounted && missing >= 0 && (missing <= LOST_TRADES_MAX || areNear(first, last));
  return { from: last.time, to: first.time, afterId: last.id, beforeId: first.id, ...(isLoss && { missing }), reason };
}
