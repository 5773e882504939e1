import type { Interval } from '@millrace/contracts';
import { useEffect, useState } from 'react';
import { type CandleSeries, LiveCandles, NO_CANDLES } from './candle-series.ts';
import { useMillrace } from './provider.ts';

/**
 * The newest candles of an instrument, updated live: the open candle, closed candles, and corrections. Reads them again from the API after a
 * `gap` event. A failed request is repeated.
 * @param limit maximum number of candles
 */
export function useCandles(instrument: string, interval: Interval, limit = 500): CandleSeries {
  const millrace = useMillrace();
  const key = `${instrument} ${interval} ${limit}`;
  const [drawn, setDrawn] = useState({ key, series: NO_CANDLES });
  useEffect(() => {
    let frame = 0;
    const draw = () => {
      frame = 0;
      setDrawn({ key, series: live.series });
    };
    const live = new LiveCandles(millrace, { instrument, interval, limit }, () => {
      if (frame === 0) frame = requestAnimationFrame(draw);
    });
    return () => {
      live.close();
      cancelAnimationFrame(frame);
    };
  }, [millrace, instrument, interval, limit, key]);
  return drawn.key === key ? drawn.series : NO_CANDLES;
}
