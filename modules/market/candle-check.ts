import { type Candle, INTERVAL_MS, INTERVALS, type InstrumentId, type Interval, openingOf } from '@millrace/contracts';
import type { SeriesStore } from '@millrace/series';
import { computeCandles } from './recompute-candles.ts';

const DAY_MS = 86_400_000;
/** Maximum number of candles of one window, and maximum length of a window, ms, unless one candle is longer. They limit each read. */
const WINDOW_CANDLES = 200;
const WINDOW_MS = DAY_MS;
/** Ages of the windows before the newest trade, ms. */
const AGES_MS = [0, DAY_MS, 7 * DAY_MS, 30 * DAY_MS];
/** Maximum number of listed differences of an instrument. All are counted. */
const LISTED_MAX = 20;
/** Sums with more decimals are not rounded, so their last digits depend on the order of addition. */
const DECIMALS_MAX = 12;
const VOLUME_TOLERANCE = 1e-9;

const FIELDS = ['open', 'high', 'low', 'close', 'volume', 'trades'] as const;

/** A field of a stored candle that differs from the stored trades. `stored` is null when there is no candle. */
export interface CandleDifference {
  readonly instrument: InstrumentId;
  readonly interval: Interval;
  /** Opening time, epoch ms. */
  readonly time: number;
  readonly field: (typeof FIELDS)[number];
  readonly stored: number | null;
  readonly expected: number;
}

/** `notCompared`: candles that are not made of trades alone. `partial`: candles with deleted or unreadable trades. */
export interface CandleReport {
  readonly instrument: InstrumentId;
  readonly compared: number;
  readonly notCompared: { readonly venue: number; readonly repaired: number; readonly partial: number };
  /** Number of candles that differ, and the first differing fields. */
  readonly differing: number;
  readonly differences: readonly CandleDifference[];
}

interface Window {
  readonly instrument: InstrumentId;
  readonly interval: Interval;
  readonly from: number;
  readonly to: number;
}

/**
 * Compares samples of the stored candles of an instrument, of each interval and several ages, with candles computed from its stored trades. Only closed
 * candles are compared. One window is read at a time.
 * @param isStopped checked between windows; if true, the report covers the windows read so far
 */
export async function checkCandles(
  series: SeriesStore,
  instrument: InstrumentId,
  isStopped: () => boolean = () => false,
): Promise<CandleReport> {
  const counts = { compared: 0, venue: 0, repaired: 0, partial: 0 };
  const differences: CandleDifference[] = [];
  let differing = 0;
  const newest = await newestTrade(series, instrument, Number.MAX_SAFE_INTEGER);
  const times: number[] = [];
  for (const age of newest === null ? [] : AGES_MS)
    if (age === 0 || (await newestTrade(series, instrument, (newest ?? 0) - age)) !== null) times.push((newest ?? 0) - age);
  const isDamaged = (await series.stats()).damaged.length > 0;
  for (const { interval, from, to } of windowsOf(times)) {
    if (isStopped()) break;
    const window = { instrument, interval, from, to };
    let found = await compare(series, window, isDamaged);
    // Data written between two reads would look like a difference.
    if (found.differences.size > 0) found = onlyLasting(found, await compare(series, window, isDamaged));
    for (const name of ['compared', 'venue', 'repaired', 'partial'] as const) counts[name] += found[name];
    differing += found.differences.size;
    for (const list of found.differences.values()) differences.push(...list);
  }
  const { compared, ...notCompared } = counts;
  return { instrument, compared, notCompared, differing, differences: differences.slice(0, LISTED_MAX) };
}

/** Time of the newest trade before a time, epoch ms; null when there is none. */
async function newestTrade(series: SeriesStore, instrument: InstrumentId, to: number): Promise<number | null> {
  const [last] = await series.trades({ instrument, from: Number.MIN_SAFE_INTEGER, to, order: 'desc', limit: 1 });
  return last?.time ?? null;
}

/** @param times newest first */
function* windowsOf(times: readonly number[]): Generator<Omit<Window, 'instrument'>> {
  for (const interval of INTERVALS) {
    const length = INTERVAL_MS[interval];
    const span = Math.max(length, Math.min(WINDOW_CANDLES * length, WINDOW_MS));
    let earliest = Number.POSITIVE_INFINITY;
    for (const time of times) {
      // The candle that contains this time may be open.
      const to = Math.min(openingOf(time, interval), earliest);
      const from = openingOf(to - span, interval);
      if (from < to) yield { interval, from, to };
      earliest = from;
    }
  }
}

interface Compared {
  readonly compared: number;
  readonly venue: number;
  readonly repaired: number;
  readonly partial: number;
  /** By opening time. */
  readonly differences: ReadonlyMap<number, readonly CandleDifference[]>;
}

async function compare(series: SeriesStore, window: Window, isDamaged: boolean): Promise<Compared> {
  const counts = { compared: 0, venue: 0, repaired: 0, partial: 0 };
  const differences = new Map<number, CandleDifference[]>();
  for (const [time, { candle, origin, stored, sum }] of await computeCandles(series.recomputeReads, window)) {
    const given = origin !== 'trades' || (stored !== undefined && stored.origin !== 'trades');
    if (given && (stored?.version ?? 0) > 1) counts.repaired++;
    else if (given) counts.venue++;
    else if (stored && (isDamaged || stored.trades > candle.trades)) counts.partial++;
    else {
      counts.compared++;
      const found = differencesOf(window, stored, candle, sum?.decimals ?? 0);
      if (found.length > 0) differences.set(time, found);
    }
  }
  return { ...counts, differences };
}

function differencesOf(
  { instrument, interval }: Window,
  stored: Candle | undefined,
  expected: Candle,
  decimals: number,
): CandleDifference[] {
  const isSame = (field: (typeof FIELDS)[number], value: number) => {
    if (field !== 'volume' || decimals <= DECIMALS_MAX) return value === expected[field];
    return Math.abs(value - expected.volume) <= VOLUME_TOLERANCE * expected.volume;
  };
  return FIELDS.flatMap((field) =>
    stored && isSame(field, stored[field])
      ? []
      : [{ instrument, interval, time: expected.time, field, stored: stored?.[field] ?? null, expected: expected[field] }],
  );
}

function onlyLasting(first: Compared, second: Compared): Compared {
  return { ...second, differences: new Map([...second.differences].filter(([time]) => first.differences.has(time))) };
}
