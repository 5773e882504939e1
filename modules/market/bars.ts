import { type Candle, type CandleOrigin, INTERVAL_MS, INTERVALS, type Interval, openingOf } from '@millrace/contracts';

/**
 * A candle while it can still change. Which trade opens and which closes it is told by rank, not by arrival, so the order
 * in which trades come makes no difference to what it is in the end.
 */
export interface Bar {
  time: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  /** What rounding has cut from `volume` so far (Neumaier’s summation). */
  volumeError: number;
  /** Most decimals of any quantity in it: the sum of decimals has no more, which is what it is rounded to when shown. */
  decimals: number;
  trades: number;
  firstRank: number;
  lastRank: number;
  closed: boolean;
  version: number;
  origin: CandleOrigin;
}

/** Bars of every interval, oldest first; the last one is the newest. */
export type Bars = Record<Interval, Bar[]>;

export function noBars(): Bars {
  return Object.fromEntries(INTERVALS.map((interval) => [interval, [] as Bar[]])) as Bars;
}

export function endOf(bar: Bar, interval: Interval): number {
  return bar.time + INTERVAL_MS[interval];
}

/** A trade or a smaller candle, as something that a bar can take in. */
export interface Contribution {
  readonly time: number;
  readonly rank: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  /** Decimals of the volume. */
  readonly decimals: number;
  readonly trades: number;
  readonly origin: CandleOrigin;
}

/** Takes a contribution into the bar of its time, made if missing. Undefined when that bar is gone already. */
export function contribute(bars: Bar[], interval: Interval, part: Contribution, keptFrom: number): Bar | undefined {
  const newest = bars.at(-1);
  const opening =
    newest && part.time >= newest.time && part.time < newest.time + INTERVAL_MS[interval] ? newest.time : openingOf(part.time, interval);
  if (newest && newest.time === opening) return add(newest, part);
  if (!newest || opening > newest.time) {
    const bar = barOf(opening, part);
    bars.push(bar);
    return bar;
  }
  if (opening + INTERVAL_MS[interval] < keptFrom) return undefined;
  let at = bars.length - 1;
  while (at >= 0 && (bars[at] as Bar).time > opening) at--;
  const bar = bars[at];
  if (bar && bar.time === opening) return add(bar, part);
  const made = barOf(opening, part);
  bars.splice(at + 1, 0, made);
  return made;
}

export function barAt(bars: readonly Bar[], time: number): Bar | undefined {
  for (let index = bars.length - 1; index >= 0; index--) {
    const bar = bars[index] as Bar;
    if (bar.time === time) return bar;
    if (bar.time < time) return undefined;
  }
  return undefined;
}

/** Lets go of closed bars that ended before `keptFrom`; the newest always stays. */
export function prune(bars: Bar[], interval: Interval, keptFrom: number): void {
  let gone = 0;
  while (gone < bars.length - 1 && endOf(bars[gone] as Bar, interval) < keptFrom) gone++;
  if (gone > 0) bars.splice(0, gone);
}

export function candleOf(bar: Bar): Candle {
  return {
    time: bar.time,
    open: bar.open,
    high: bar.high,
    low: bar.low,
    close: bar.close,
    volume: volumeOf(bar),
    trades: bar.trades,
  };
}

/** Exactly the sum of the quantities, as near as a double comes to it. */
export function volumeOf({ volume, volumeError, decimals }: Bar): number {
  const sum = volume + volumeError;
  return decimals <= DECIMALS_MAX ? Number(sum.toFixed(decimals)) : sum;
}

/** Beyond this a double has no digits left to round. */
const DECIMALS_MAX = 12;

/** Decimals of a quantity as the venue wrote it. */
export function decimalsOf(quantity: string): number {
  const point = quantity.indexOf('.');
  if (quantity.includes('e') || quantity.includes('E')) return Number.POSITIVE_INFINITY;
  return point < 0 ? 0 : quantity.length - point - 1;
}

function barOf(time: number, part: Contribution): Bar {
  return {
    time,
    open: part.open,
    high: part.high,
    low: part.low,
    close: part.close,
    volume: part.volume,
    volumeError: 0,
    decimals: part.decimals,
    trades: part.trades,
    firstRank: part.rank,
    lastRank: part.rank,
    closed: false,
    version: 0,
    origin: part.origin,
  };
}

function add(bar: Bar, part: Contribution): Bar {
  if (part.high > bar.high) bar.high = part.high;
  if (part.low < bar.low) bar.low = part.low;
  if (part.rank >= bar.lastRank) {
    bar.close = part.close;
    bar.lastRank = part.rank;
  }
  if (part.rank < bar.firstRank) {
    bar.open = part.open;
    bar.firstRank = part.rank;
  }
  const sum = bar.volume + part.volume;
  bar.volumeError += Math.abs(bar.volume) >= Math.abs(part.volume) ? bar.volume - sum + part.volume : part.volume - sum + bar.volume;
  bar.volume = sum;
  if (part.decimals > bar.decimals) bar.decimals = part.decimals;
  bar.trades += part.trades;
  return bar;
}
