import type { Trade } from '@millrace/contracts';

/** Maximum number of remembered ranges of numbers. Beyond it the two oldest neighbours are merged, and the numbers between them count as seen. */
const STRETCHES_MAX = 64;
/** Maximum number of numbers between two ranges that are merged. With more between them, one of the ranges has wrong numbers. */
const UNSEEN_MAX = 100_000;
/** Number of remembered ids of unnumbered trades. */
const IDS_MAX = 4_096;

/**
 * The trades that an instrument has received. For numbered trades it keeps ranges of numbers, so it detects duplicates of any age. For other
 * trades it keeps the newest ids; whether an older trade is a duplicate is not known.
 */
export interface DedupWindow {
  stretches: [from: number, to: number][];
  ids: Map<string, number>;
  /** Newest time of a forgotten id, epoch ms. */
  forgottenAt: number;
}

export function emptyDedupWindow(): DedupWindow {
  return { stretches: [], ids: new Map(), forgottenAt: Number.NEGATIVE_INFINITY };
}

/** `too-late`: its id is not known, but ids of its time were forgotten. */
export function judgeTrade(seen: DedupWindow, trade: Trade, numbered: boolean): 'new' | 'seen' | 'too-late' {
  if (!numbered) {
    if (seen.ids.has(trade.id)) return 'seen';
    return trade.time <= seen.forgottenAt ? 'too-late' : 'new';
  }
  for (let index = seen.stretches.length - 1; index >= 0; index--) {
    const [from, to] = seen.stretches[index] as [number, number];
    if (trade.order > to) return 'new';
    if (trade.order >= from) return 'seen';
  }
  return 'new';
}

export function markSeen(seen: DedupWindow, trade: Trade, numbered: boolean): void {
  if (numbered) return markNumber(seen.stretches, trade.order);
  seen.ids.set(trade.id, trade.time);
  if (seen.ids.size <= IDS_MAX) return;
  const [oldest] = seen.ids;
  if (!oldest) return;
  seen.ids.delete(oldest[0]);
  seen.forgottenAt = Math.max(seen.forgottenAt, oldest[1]);
}

/** Forgets trades, so that they can be recorded again with other times, and times of other trades after `after` (epoch ms). */
export function forget(seen: DedupWindow, trades: readonly Trade[], after: number): void {
  for (const { id, order } of trades) {
    seen.ids.delete(id);
    forgetNumber(seen.stretches, order);
  }
  // Ids are forgotten in their order of arrival, so the remaining ones have later times.
  if (seen.forgottenAt > after) seen.forgottenAt = Math.min(after, ...seen.ids.values());
}

function forgetNumber(stretches: [number, number][], number: number): void {
  const at = stretches.findIndex(([from, to]) => number >= from && number <= to);
  if (at < 0) return;
  const [from, to] = stretches[at] as [number, number];
  const left: [number, number][] = [
    [from, number - 1],
    [number + 1, to],
  ];
  stretches.splice(at, 1, ...left.filter((stretch) => stretch[0] <= stretch[1]));
}

function markNumber(stretches: [number, number][], number: number): void {
  const last = stretches.at(-1);
  if (last && number === last[1] + 1) {
    last[1] = number;
    return;
  }
  let at = stretches.length;
  while (at > 0 && (stretches[at - 1] as [number, number])[0] > number) at--;
  const before = stretches[at - 1];
  const behind = stretches[at];
  const joinsBefore = before !== undefined && before[1] + 1 === number;
  const joinsBehind = behind !== undefined && behind[0] - 1 === number;
  if (joinsBefore && joinsBehind) {
    before[1] = behind[1];
    stretches.splice(at, 1);
  } else if (joinsBefore) before[1] = number;
  else if (joinsBehind) behind[0] = number;
  else stretches.splice(at, 0, [number, number]);
  if (stretches.length <= STRETCHES_MAX) return;
  forgetOne(stretches, number);
}

/** Merges the two oldest ranges that are near each other. If there are none, removes the shortest range, but not that of `newest`. */
function forgetOne(stretches: [number, number][], newest: number): void {
  let shortest = -1;
  let fewest = Number.POSITIVE_INFINITY;
  for (const [index, stretch] of stretches.entries()) {
    const [from, to] = stretch;
    const next = stretches[index + 1];
    if (next && next[0] - to <= UNSEEN_MAX) {
      stretches.splice(index, 2, [from, next[1]]);
      return;
    }
    const isNewest = newest >= from && newest <= to;
    if (isNewest || to - from >= fewest) continue;
    fewest = to - from;
    shortest = index;
  }
  stretches.splice(shortest, 1);
}
