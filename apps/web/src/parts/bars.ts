import type { Candle } from '@millrace/contracts';

/** A candle as the chart draws it. */
export type Bar = Pick<Candle, 'time' | 'open' | 'high' | 'low' | 'close' | 'volume'>;

/**
 * Puts a bar in its place: it replaces that of the same time. A late trade may create one between others.
 * @param bars oldest first; changed
 * @param isWhole false if older bars may be loaded later: then one before the first is not added, because it comes with them
 * @returns its index; null if it was not added
 */
export function putBar(bars: Bar[], bar: Bar, isWhole: boolean): number | null {
  const at = bars.findLastIndex(({ time }) => time <= bar.time);
  if (bars[at]?.time === bar.time) {
    bars[at] = bar;
    return at;
  }
  if (at < 0 && bars.length > 0 && !isWhole) return null;
  bars.splice(at + 1, 0, bar);
  return at + 1;
}

/** Bars with those of a later response: the newest of `bars` may be newer than the response. */
export function mergedBars(bars: readonly Bar[], response: readonly Bar[]): Bar[] {
  const byTime = new Map(bars.map((bar) => [bar.time, bar]));
  const newest = bars.at(-1)?.time;
  for (const bar of response) if (bar.time !== newest) byTime.set(bar.time, bar);
  return [...byTime.values()].sort((one, other) => one.time - other.time);
}
