import type { CandleFrame, CandleRow, InstrumentId, Interval } from '@millrace/contracts';
import { candleOf, isInexact } from './bars.ts';
import type { History } from './history.ts';
import type { Kept } from './kept.ts';

export interface CandleRange {
  readonly interval: Interval;
  readonly from: number;
  readonly to: number;
  readonly limit: number;
  readonly asOf: number | undefined;
}

const CANDLE_COLUMNS = ['time', 'open', 'high', 'low', 'close', 'volume'];

/**
 * Candles from the store, with the zone’s memory over them: what is in memory is newer, unless the store made it anew of what memory has not. With `asOf` only the store is
 * asked, because memory knows nothing but now.
 */
export async function readCandles(id: InstrumentId, state: Kept, series: History, range: CandleRange): Promise<CandleFrame> {
  const { interval, from, to, limit, asOf } = range;
  const stored = await series.candles({ instrument: id, interval, from, to, limit, ...(asOf !== undefined && { asOf }) });
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
  let open = Number.NaN;
  if (asOf === undefined) {
    for (const bar of state.bars[interval]) {
      if (bar.time < from || bar.time >= to) continue;
      if (bar.closed && isInexact(bar) && rows.has(bar.time)) continue;
      const { time, open: first, high, low, close, volume } = candleOf(bar);
      rows.set(time, [time, first, high, low, close, volume]);
      if (!bar.closed) open = time;
    }
  }
  const ordered = [...rows.values()].sort((a, b) => a[0] - b[0]).slice(-limit);
  return {
    instrument: id,
    interval,
    status: state.status,
    asOf: asOf ?? state.asOf,
    columns: CANDLE_COLUMNS,
    rows: ordered,
    meta: { closed: ordered.at(-1)?.[0] !== open },
  };
}
