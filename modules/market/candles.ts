import {
  type Candle,
  type CandleFrame,
  type CandleRow,
  INTERVALS,
  type InstrumentId,
  type Interval,
  type RowOrder,
} from '@millrace/contracts';
import type { RowKey } from '@millrace/series';
import { type Bar, candleOf, decimalsOf, holds, isInexact, roundedSum } from './bars.ts';
import type { History } from './history.ts';
import type { KnownInstrument } from './known-instrument.ts';
import { type PageRequest, readPage } from './pages.ts';
import { storedPart } from './recompute-candles.ts';
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
 * Candles of the store, replaced by those in the memory of the zone, which are newer unless the store computed them again from data that memory lacks. With `asOf`
 * only the store is read, because memory has only the present.
 */
export async function readCandles(id: InstrumentId, state: KnownInstrument, series: History, range: CandleRange): Promise<CandleFrame> {
  const { page, ...rest } = range;
  const read = (limit: number, after: RowKey | undefined) => {
    // Opening times are integers, and unique.
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

/** Opening time of the open candle, epoch ms. */
function openingOfOpen({ bars }: KnownInstrument, interval: Interval): number | undefined {
  const last = bars[interval].at(-1);
  return last && !last.closed ? last.time : undefined;
}

type RowQuery = Omit<CandleRange, 'page'> & { readonly order: RowOrder; readonly limit: number };

/** The first `limit` candles of the range in this order. */
async function candleRows(id: InstrumentId, state: KnownInstrument, series: History, query: RowQuery): Promise<CandleRow[]> {
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
 * An open candle with data that was too late for its smaller candles: the largest smaller candle that is open and exact, together with the data of the store for the
 * time before it.
 */
async function exactly(instrument: InstrumentId, state: KnownInstrument, interval: Interval, bar: Bar, series: History): Promise<Candle> {
  const newest = INTERVALS.filter((part) => holds(interval, part))
    .map((part) => state.bars[part].at(-1))
    .findLast((part) => part !== undefined && part.time >= bar.time && !isInexact(part));
  if (!newest) return candleOf(bar);
  const last = candleOf(newest);
  const first =
    newest.time > bar.time ? await storedPart(series.recomputeReads, { instrument, interval, from: bar.time, to: newest.time }) : null;
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
