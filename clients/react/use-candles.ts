import type { MillraceError } from '@millrace/client';
import type { Candle, CandleEvent, Interval } from '@millrace/contracts';
import { useEffect, useState } from 'react';
import { useMillrace } from './provider.ts';

/** A candle; `trades` is null if the history does not contain the number of trades. */
export interface SeriesCandle extends Omit<Candle, 'trades'> {
  readonly trades: number | null;
}

export interface CandleSeries {
  /** Oldest first; the last one may still be open. */
  readonly candles: readonly SeriesCandle[];
  /** `loading` until the first candles arrive; `stale` while the source or the connection to the server is down. */
  readonly status: 'loading' | 'live' | 'stale' | 'failed';
  readonly error: MillraceError | null;
}

const NOTHING: CandleSeries = { candles: [], status: 'loading', error: null };

/**
 * The newest candles of an instrument, updated live: the open candle, closed candles, and corrections. Reads them again from the API after a
 * `gap` event.
 * @param limit maximum number of candles
 */
export function useCandles(instrument: string, interval: Interval, limit = 500): CandleSeries {
  const millrace = useMillrace();
  const key = `${instrument} ${interval} ${limit}`;
  const [series, setSeries] = useState({ key, ...NOTHING });
  useEffect(() => {
    const abort = new AbortController();
    const byTime = new Map<number, SeriesCandle>();
    /** Candles that arrive during the API request: newer than its response. Null when no request is running. */
    let arrived: CandleEvent[] | null = [];
    let frame = 0;
    let status: CandleSeries['status'] = 'loading';
    const draw = () => {
      frame = 0;
      const candles = [...byTime.values()].sort((one, other) => one.time - other.time).slice(-limit);
      setSeries({ key, candles, status, error: null });
    };
    const scheduleDraw = () => {
      if (frame === 0) frame = requestAnimationFrame(draw);
    };
    const store = (candle: CandleEvent) => {
      byTime.set(candle.time, candle);
      if (byTime.size > limit * 2)
        for (const time of [...byTime.keys()].sort((one, other) => one - other).slice(0, limit)) byTime.delete(time);
    };
    const read = async () => {
      arrived = [];
      const response = await millrace.getCandles({ id: instrument, interval, limit }, { signal: abort.signal });
      for (const [time, open, high, low, close, volume] of response.rows)
        byTime.set(time, { time, open, high, low, close, volume, trades: byTime.get(time)?.trades ?? null });
      for (const candle of arrived ?? []) store(candle);
      arrived = null;
      status = response.status;
      scheduleDraw();
    };
    const fail = (error: MillraceError) => {
      if (abort.signal.aborted) return;
      status = 'failed';
      setSeries({ key, ...NOTHING, status, error });
    };
    const stop = millrace.watch(
      [`candles:${instrument}:${interval}`],
      ({ event, data }) => {
        if (event === 'gap') return void read().catch(fail);
        if (event !== 'candle') return;
        if (status === 'failed') return;
        if (arrived) arrived.push(data);
        else store(data);
        if (status === 'stale') status = 'live';
        scheduleDraw();
      },
      {
        onStatus: (connection) => {
          // The server was unavailable at the first request.
          if (connection === 'live' && status === 'failed') {
            status = 'loading';
            read().catch(fail);
          }
          if (connection !== 'waiting' || status !== 'live') return;
          status = 'stale';
          scheduleDraw();
        },
        onError: fail,
      },
    );
    read().catch(fail);
    return () => {
      abort.abort();
      cancelAnimationFrame(frame);
      stop();
    };
  }, [millrace, instrument, interval, limit, key]);
  return series.key === key ? series : NOTHING;
}
