import { type Candle, type CandleOrigin, INTERVAL_MS, type InstrumentId, type Interval, openingOf } from '@millrace/contracts';
import type { CandleRow, RecomputeQuery, RecomputeReads, RecomputeTransaction, StoredCandle, TradeSum } from '@millrace/series';
import { decimalsOf, holds, roundedSum } from './bars.ts';

/** A changed candle that only the store has. */
export interface OldCandle {
  readonly instrument: InstrumentId;
  readonly interval: Interval;
  /** Opening time, epoch ms. */
  readonly time: number;
  /** Time of the change, epoch ms. */
  readonly known: number;
}

/** Maximum distance of candles that are read together, in periods. */
const PERIODS_APART_MAX = 3_600;

/**
 * Computes candles that only the store has again, from the stored trades and the candles of the venue (see bars.ts), as new versions. Candles of the venue
 * are not changed, nor old candles that count more trades than are stored, because trades may have been deleted.
 * @param given candles of the venue to store first, as new versions
 * @returns the stored candles
 */
export async function recomputeCandles(
  transaction: RecomputeTransaction,
  old: readonly OldCandle[],
  given: readonly CandleRow[],
): Promise<CandleRow[]> {
  const stored: CandleRow[] = [];
  const append = async (rows: readonly CandleRow[]) => {
    await transaction.append(rows);
    stored.push(...rows);
  };
  for (const row of given) {
    const known = await transaction.candles({ ...row, from: row.time, to: row.time + 1 });
    const newest = known.find(({ interval }) => interval === row.interval);
    if (newest?.origin === 'venue' && isSame(newest, row)) continue;
    await append([{ ...row, version: (newest?.version ?? 0) + 1 }]);
  }
  for (const group of groupsOf(old)) await append(await remade(transaction, group));
  return stored;
}

/** Reads of stored trades and candles. */
type Reads = Pick<RecomputeReads, 'candles' | 'tradeSums'>;

/** The candle of the stored trades and venue candles between two times, both within one period of the interval; null without data. */
export async function storedPart(reads: Reads, query: RecomputeQuery): Promise<Candle | null> {
  return (await computeCandles(reads, query)).get(query.from)?.candle ?? null;
}

/** A candle computed from stored trades and candles of the venue. */
export interface ComputedCandle {
  readonly candle: Candle;
  readonly origin: CandleOrigin;
  /** Its trades outside of candles of the venue. */
  readonly sum: TradeSum | undefined;
  /** The newest stored version. */
  readonly stored: StoredCandle | undefined;
}

/**
 * Candles of an interval that open in [from, to), by opening time, computed from the stored data before `to`. Candles of the venue are returned as they are.
 * @param from opening time of a candle, epoch ms
 */
export async function computeCandles(
  reads: Reads,
  query: { instrument: InstrumentId; interval: Interval; from: number; to: number },
): Promise<Map<number, ComputedCandle>> {
  const { interval } = query;
  const stored = await reads.candles(query);
  const parts = largestOf(stored.filter((one) => one.origin === 'venue' && holds(interval, one.interval)));
  const sums = new Map((await reads.tradeSums({ ...query, covered: rangesOf(parts) })).map((sum) => [sum.opening, sum]));
  const newest = new Map(stored.filter((one) => one.interval === interval).map((one) => [one.time, one]));
  const partsWithin = Map.groupBy(parts, ({ time }) => openingOf(time, interval));
  const made = new Map<number, ComputedCandle>();
  const openings = new Set([...newest.keys(), ...sums.keys(), ...partsWithin.keys()]);
  for (const time of openings) {
    const before = newest.get(time);
    const sum = sums.get(time);
    const within = partsWithin.get(time) ?? [];
    if (before?.origin === 'venue') made.set(time, { candle: candleOf(before), origin: 'venue', sum, stored: before });
    else {
      const candle = combined(time, sum, within);
      if (candle) made.set(time, { candle, origin: within.length > 0 ? 'mixed' : 'trades', sum, stored: before });
    }
  }
  return made;
}

function candleOf({ time, open, high, low, close, volume, trades }: StoredCandle): Candle {
  return { time, open, high, low, close, volume, trades };
}

/** Groups of neighbouring candles of one instrument and interval, in order of time, without duplicates. */
function groupsOf(old: readonly OldCandle[]): OldCandle[][] {
  const byKey = new Map<string, Map<number, OldCandle>>();
  for (const one of old) {
    const key = `${one.instrument} ${one.interval}`;
    const times = byKey.get(key) ?? new Map<number, OldCandle>();
    byKey.set(key, times.set(one.time, one));
  }
  const groups: OldCandle[][] = [];
  for (const times of byKey.values()) {
    let before: OldCandle | undefined;
    for (const one of [...times.values()].sort((a, b) => a.time - b.time)) {
      const isNear = before !== undefined && one.time - before.time <= PERIODS_APART_MAX * INTERVAL_MS[one.interval];
      if (isNear) groups.at(-1)?.push(one);
      else groups.push([one]);
      before = one;
    }
  }
  return groups;
}

async function remade(transaction: RecomputeTransaction, group: readonly OldCandle[]): Promise<CandleRow[]> {
  const [first] = group as [OldCandle];
  const { instrument, interval } = first;
  const to = (group.at(-1) as OldCandle).time + INTERVAL_MS[interval];
  const made = await computeCandles(transaction, { instrument, interval, from: first.time, to });
  const rows: CandleRow[] = [];
  for (const { time, known } of group) {
    const one = made.get(time);
    if (!one || one.origin === 'venue') continue;
    const { candle, origin, stored: before } = one;
    if (before && isSame(before, candle) && before.origin === origin) continue;
    const mayLackTrades = time < known - transaction.keepMs;
    if (mayLackTrades && before && before.trades > candle.trades) continue;
    rows.push({ instrument, interval, ...candle, version: (before?.version ?? 0) + 1, origin, known });
  }
  return rows;
}

/** The candles of the venue that are not within another one, in order of time. */
function largestOf(candles: readonly StoredCandle[]): StoredCandle[] {
  const largest: StoredCandle[] = [];
  const endOf = ({ time, interval }: StoredCandle) => time + INTERVAL_MS[interval];
  const ordered = [...candles].sort((a, b) => a.time - b.time || endOf(b) - endOf(a));
  for (const one of ordered) {
    const before = largest.at(-1);
    if (!before || one.time >= endOf(before)) largest.push(one);
    // Candles of 3 and 5 minutes may overlap: the longer one counts.
    else if (endOf(one) - one.time > endOf(before) - before.time) largest[largest.length - 1] = one;
  }
  return largest;
}

function rangesOf(candles: readonly StoredCandle[]): [from: number, to: number][] {
  const ranges: [number, number][] = [];
  for (const { time, interval } of candles) {
    const before = ranges.at(-1);
    if (before && before[1] >= time) before[1] = time + INTERVAL_MS[interval];
    else ranges.push([time, time + INTERVAL_MS[interval]]);
  }
  return ranges;
}

/** The candle of trades and candles of the venue that do not overlap; null without data. */
function combined(time: number, trades: TradeSum | undefined, given: readonly StoredCandle[]): Candle | null {
  const [first] = given;
  const last = given.at(-1);
  if (!first || !last)
    return trades ? { ...pricesOf(trades), time, volume: roundedSum(trades.volume, trades.decimals), trades: trades.trades } : null;
  const all = trades ? [...given, trades] : given;
  // A week may have 604,800 candles of one second: too many for the arguments of a function.
  let [high, low, volume, count, decimals] = [first.high, first.low, 0, 0, trades?.decimals ?? 0];
  for (const one of all) {
    high = Math.max(high, one.high);
    low = Math.min(low, one.low);
    volume += one.volume;
    count += one.trades;
  }
  for (const one of given) decimals = Math.max(decimals, decimalsOf(String(one.volume)));
  return {
    time,
    open: trades && trades.firstTime < first.time ? trades.open : first.open,
    high,
    low,
    close: trades && trades.lastTime >= last.time ? trades.close : last.close,
    volume: roundedSum(volume, decimals),
    trades: count,
  };
}

function pricesOf({ open, high, low, close }: TradeSum): Pick<Candle, 'open' | 'high' | 'low' | 'close'> {
  return { open, high, low, close };
}

function isSame(a: Candle, b: Candle): boolean {
  const samePrices = a.open === b.open && a.high === b.high && a.low === b.low && a.close === b.close;
  return samePrices && a.volume === b.volume && a.trades === b.trades;
}
