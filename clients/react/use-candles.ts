import type { MillraceError } from '@millrace/client';
import type { Candle, CandleEvent, Interval } from '@millrace/contracts';
import { useEffect, useState } from 'react';
import { useMillrace } from './provider.ts';

/** A candle; `trades` is null where the history does not say how many it holds. */
export interface SeriesCandle extends Omit<Candle, 'trades'> {
  readonly trades: number | null;
}

export interface CandleSeries {
  /** Oldest first; the last one may still be open. */
  readonly candles: readonly SeriesCandle[];
  /** `loading` until the first are there; `stale` when the source, or the way to the server, is down. */
  readonly status: 'loading' | 'live' | 'stale' | 'failed';
  readonly error: MillraceError | null;
}

const NOTHING: CandleSeries = { candles: [], status: 'loading', error: null };

/**
 * The newest candles of an instrument, kept up to date: the open one, closings, and corrections of earlier ones. Read again from the API where the
 * stream says that something was missed.
 * @param limit how many are kept
 */
export function useCandles(instrument: string, interval: Interval, limit = 500): CandleSeries {
  const millrace = useMillrace();
  const key = `${instrument} ${interval} ${limit}`;
  const [series, setSeries] = useState({ key, ...NOTHING });
  useEffect(() => {
    const reading = new AbortController();
    const byTime = new Map<number, SeriesCandle>();
    /** What came while the API was being read is newer than its answer. */
    let early: CandleEvent[] | null = [];
    let frame = 0;
    let status: CandleSeries['status'] = 'loading';
    const draw = () => {
      frame = 0;
      const candles = [...byTime.values()].sort((one, other) => one.time - other.time).slice(-limit);
      setSeries({ key, candles, status, error: null });
    };
    const soon = () => {
      if (frame === 0) frame = requestAnimationFrame(draw);
    };
    const take = (candle: CandleEvent) => {
      byTime.set(candle.time, candle);
      if (byTime.size > limit * 2)
        for (const time of [...byTime.keys()].sort((one, other) => one - other).slice(0, limit)) byTime.delete(time);
    };
    const read = async () => {
      early = [];
      const answer = await millrace.getCandles({ id: instrument, interval, limit }, { signal: reading.signal });
      for (const [time, open, high, low, close, volume] of answer.rows)
        byTime.set(time, { time, open, high, low, close, volume, trades: byTime.get(time)?.trades ?? null });
      for (const candle of early ?? []) take(candle);
      early = null;
      status = answer.status;
      soon();
    };
    const fail = (error: MillraceError) => {
      if (reading.signal.aborted) return;
      status = 'failed';
      setSeries({ key, ...NOTHING, status, error });
    };
    const stop = millrace.watch(
      [`candles:${instrument}:${interval}`],
      ({ event, data }) => {
        if (event === 'gap') return void read().catch(fail);
        if (event !== 'candle') return;
        if (status === 'failed') return;
        if (early) early.push(data);
        else take(data);
        if (status === 'stale') status = 'live';
        soon();
      },
      {
        onStatus: (connection) => {
          // The server was away when it was asked first.
          if (connection === 'live' && status === 'failed') {
            status = 'loading';
            read().catch(fail);
          }
          if (connection !== 'waiting' || status !== 'live') return;
          status = 'stale';
          soon();
        },
        onError: fail,
      },
    );
    read().catch(fail);
    return () => {
      reading.abort();
      cancelAnimationFrame(frame);
      stop();
    };
  }, [millrace, instrument, interval, limit, key]);
  return series.key === key ? series : NOTHING;
}
