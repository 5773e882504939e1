import type { Trade } from '@millrace/contracts';

/** Maximum number of remembered ranges of numbers. Beyond it the two oldest neighbours are merged. */
export const STRETCHES_MAX = 1_024;
/** Maximum number of numbers between two ranges that are merged. With more between them, one of the ranges has wrong numbers. */
const UNSEEN_MAX = 100_000;
/** Number of remembered ids of unnumbered trades. */
const IDS_MAX = 4_096;
/** Number of ids that are forgotten together: to find the oldest ones takes a sort. */
const FORGOTTEN_TOGETHER = 256;

/** A range of numbers that were received. `isUnsure`: some of them were not, because ranges were merged. */
type Stretch = [from: number, to: number, isUnsure?: true];

/**
 * The trades that an instrument has received. For numbered trades it keeps ranges of numbers, so it detects duplicates of any age. For other
 * trades it keeps the ids with the newest times; whether an older trade is a duplicate is not known.
 */
export interface DedupWindow {
  stretches: Stretch[];
  ids: Map<string, number>;
  /** Newest time of a forgotten id, epoch ms. */
  forgottenAt: number;
  /** Newest ids of trades that were recorded late: the window could not tell whether they are duplicates, or forgot them soon. Absent when there was none. */
  lateIds?: Map<string, number>;
}

export function emptyDedupWindow(): DedupWindow {
  return { stretches: [], ids: new Map(), forgottenAt: Number.NEGATIVE_INFINITY };
}

/** `too-late`: the window cannot tell whether it is a duplicate. Ids of its time were forgotten, or ranges around its number were merged. */
export function judgeTrade(seen: DedupWindow, trade: Trade, numbered: boolean): 'new' | 'seen' | 'too-late' {
  const verdict = numbered ? judgeNumber(seen.stretches, trade.order) : judgeId(seen, trade);
  return verdict === 'too-late' && seen.lateIds?.has(trade.id) ? 'seen' : verdict;
}

function judgeId({ ids, forgottenAt }: DedupWindow, { id, time }: Trade): 'new' | 'seen' | 'too-late' {
  if (ids.has(id)) return 'seen';
  return time <= forgottenAt ? 'too-late' : 'new';
}

function judgeNumber(stretches: readonly Stretch[], number: number): 'new' | 'seen' | 'too-late' {
  for (let index = stretches.length - 1; index >= 0; index--) {
    const [from, to, isUnsure] = stretches[index] as Stretch;
    if (number > to) return 'new';
    if (number >= from) return isUnsure ? 'too-late' : 'seen';
  }
  return 'new';
}

export function markSeen(seen: DedupWindow, trade: Trade, numbered: boolean): void {
  if (judgeTrade(seen, trade, numbered) === 'too-late') return markLate(seen, trade.id, trade.time);
  if (numbered) return markNumber(seen.stretches, trade.order);
  seen.ids.set(trade.id, trade.time);
  if (seen.ids.size >= IDS_MAX + FORGOTTEN_TOGETHER) forgetOldest(seen);
}

/** Remembers a trade that was recorded late. A history may send it once more. */
function markLate(seen: DedupWindow, id: string, time: number): void {
  seen.lateIds ??= new Map();
  seen.lateIds.set(id, time);
  if (seen.lateIds.size <= IDS_MAX) return;
  const [oldest] = seen.lateIds.keys();
  seen.lateIds.delete(oldest as string);
}

/**
 * Forgets the ids with the oldest times. By their arrival, one trade ahead of the others would make all later ones too late. Of these, ids that arrived
 * later than most are of a history, which may be sent once more: they are remembered as late ones.
 */
function forgetOldest(seen: DedupWindow): void {
  const byTime = [...seen.ids].map(([id, time], arrival) => ({ id, time, arrival })).sort((a, b) => a.time - b.time);
  for (const { id, time, arrival } of byTime.slice(0, FORGOTTEN_TOGETHER)) {
    seen.ids.delete(id);
    seen.forgottenAt = Math.max(seen.forgottenAt, time);
    if (arrival >= 2 * FORGOTTEN_TOGETHER) markLate(seen, id, time);
  }
}

/** Forgets trades, so that they can be recorded again with other times, and times of other trades after `after` (epoch ms). */
export function forget(seen: DedupWindow, trades: readonly Trade[], after: number): void {
  for (const { id, order } of trades) {
    seen.ids.delete(id);
    seen.lateIds?.delete(id);
    forgetNumber(seen.stretches, order);
  }
  // Windows of older versions forgot ids in their order of arrival, so remaining ones may have earlier times.
  if (seen.forgottenAt > after) seen.forgottenAt = Math.min(after, ...seen.ids.values());
}

function forgetNumber(stretches: Stretch[], number: number): void {
  const at = stretches.findIndex(([from, to]) => number >= from && number <= to);
  if (at < 0) return;
  const [from, to, isUnsure] = stretches[at] as Stretch;
  const left: Stretch[] = [stretchOf(from, number - 1, isUnsure), stretchOf(number + 1, to, isUnsure)];
  stretches.splice(at, 1, ...left.filter((stretch) => stretch[0] <= stretch[1]));
}

function stretchOf(from: number, to: number, isUnsure?: true): Stretch {
  return isUnsure ? [from, to, true] : [from, to];
}

function markNumber(stretches: Stretch[], number: number): void {
  const last = stretches.at(-1);
  if (last && !last[2] && number === last[1] + 1) {
    last[1] = number;
    return;
  }
  let at = stretches.length;
  while (at > 0 && (stretches[at - 1] as Stretch)[0] > number) at--;
  const before = stretches[at - 1];
  const behind = stretches[at];
  if (before && number <= before[1]) return;
  const joinsBefore = before !== undefined && !before[2] && before[1] + 1 === number;
  const joinsBehind = behind !== undefined && !behind[2] && behind[0] - 1 === number;
  if (joinsBefore && joinsBehind) {
    before[1] = behind[1];
    stretches.splice(at, 1);
  } else if (joinsBefore) before[1] = number;
  else if (joinsBehind) behind[0] = number;
  else stretches.splice(at, 0, [number, number]);
  if (stretches.length <= STRETCHES_MAX) return;
  forgetOne(stretches, number);
}

/**
 * Merges the two oldest ranges that are near each other. If there are none, removes the shortest range. Does not change that of `newest`:
 * whether it was received is known.
 */
function forgetOne(stretches: Stretch[], newest: number): void {
  let shortest = -1;
  let fewest = Number.POSITIVE_INFINITY;
  const isNewest = ([from, to]: Stretch) => newest >= from && newest <= to;
  for (const [index, stretch] of stretches.entries()) {
    const [from, to] = stretch;
    const next = stretches[index + 1];
    if (isNewest(stretch)) continue;
    if (next && !isNewest(next) && next[0] - to <= UNSEEN_MAX) {
      stretches.splice(index, 2, [from, next[1], true]);
      return;
    }
    if (to - from >= fewest) continue;
    fewest = to - from;
    shortest = index;
  }
  stretches.splice(shortest, 1);
}
