import {
  type Candle,
  type CandleFrame,
  type CandleRow,
  INTERVALS,
  type InstrumentId,
  type Interval,
  type RowOrder,
} from '@millrace/contracts';
import type { RowPlace } from '@millrace/series';
import { type Bar, candleOf, decimalsOf, holds, isInexact, roundedSum } from './bars.ts';
import type { History } from './history.ts';
import type { Kept } from './kept.ts';
import { type PageRequest, readPage } from './pages.ts';
import { storedPart } from './remake.ts';
import { timeOrNull } from './views.ts';

export interface CandleRange {
  readonly interval: Interval;
  readonly from: number;
  readonly to: number;
  readonly page: PageRequest;
  readonly asOf: number | undefined;
}

const CANDLE_COLUMNS = ['time', 'open', 'high', 'low', 'close', 'volume'];

/**
 * Candles from the store, with the zone’s memory over them: what is in memory is newer, unless the store made it anew of what memory has not. With `asOf` only the store is
 * asked, because memory knows nothing but now.
 */
export async function readCandles(id: InstrumentId, state: Kept, series: History, range: CandleRange): Promise<CandleFrame> {
  const { page, ...rest } = range;
  const read = (limit: number, after: RowPlace | undefined) => {
    // Opening times are whole, and each candle has its own.
    const from = page.order === 'asc' && after ? Math.max(range.from, after[0] + 1) : range.from;
    const to = page.order === 'desc' && after ? Math.min(range.to, after[0]) : range.to;
    return candleRows(id, state, series, { ...rest, from, to, order: page.order, limit });
  };
  const { rows, ...more } = await readPage(page, read, ([time]) => [time, 0, 0]);
  const open = range.asOf === undefined ? openingOfOpen(state, range.interval) : undefined;
  return {
    instrument: id,
    interval: range.interval,
    status: state.status,
    updatedAt: range.asOf ?? timeOrNull(state.asOf),
    columns: CANDLE_COLUMNS,
    rows: [...rows],
    meta: { closed: !rows.some(([time]) => time === open) },
    ...more,
  };
}

/** Opening of the candle that is still open, epoch ms. */
function openingOfOpen({ bars }: Kept, interval: Interval): number | undefined {
  const last = bars[interval].at(-1);
  return last && !last.closed ? last.time : undefined;
}

type RowQuery = Omit<CandleRange, 'page'> & { readonly order: RowOrder; readonly limit: number };

/** The first `limit` candles of the range in this order. */
async function candleRows(id: InstrumentId, state: Kept, series: History, query: RowQuery): Promise<CandleRow[]> {
  const { interval, from, to, order, limit, asOf } = query;
  const stored = await series.candles({ instrument: id, interval, from, to, order, limit, ...(asOf !== undefined && { asOf }) });
  const rows = new Map<number, CandleRow>();
  for (let index = 0; index < stored.time.length; index++) {
    const time = stored.time[index] as number;
    rows.set(time, [
      time,
      stored.open[index],
      stored.high[index],
      stored.low[index],
      stored.close[index],
      stored.volume[index],
    ] as CandleRow);
  }
  if (asOf === undefined) {
    for (const bar of state.bars[interval]) {
      if (bar.time < from || bar.time >= to) continue;
      if (bar.closed && isInexact(bar) && rows.has(bar.time)) continue;
      const candle = isInexact(bar) && !bar.closed ? await exactly(id, state, interval, bar, series) : candleOf(bar);
      const { time, open: first, high, low, close, volume } = candle;
      rows.set(time, [time, first, high, low, close, volume]);
    }
  }
  const direction = order === 'asc' ? 1 : -1;
  return [...rows.values()].sort((a, b) => direction * (a[0] - b[0])).slice(0, limit);
}

/**
 * An open candle that something reached too late for what it is divided into: the largest of its parts that is open and exact, with what the store has of the
 * time before that part.
 */
async function exactly(instrument: InstrumentId, state: Kept, interval: Interval, bar: Bar, series: History): Promise<Candle> {
  const newest = INTERVALS.filter((part) => holds(interval, part))
    .map((part) => state.bars[part].at(-1))
    .findLast((part) => part !== undefined && part.time >= bar.time && !isInexact(part));
  if (!newest) return candleOf(bar);
  const last = candleOf(newest);
  const first = newest.time > bar.time ? await storedPart(series.past, { instrument, interval, from: bar.time, to: newest.time }) : null;
  if (!first) return { ...last, time: bar.time };
  return {
    time: bar.time,
    open: first.open,
    high: Math.max(first.high, last.high),
    low: Math.min(first.low, last.low),
    close: last.close,
    volume: roundedSum(first.volume + last.volume, Math.max(decimalsOf(String(first.volume)), decimalsOf(String(last.volume)))),
    trades: first.trades + last.trades,
  };
}
