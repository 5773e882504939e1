import { useEffect, useState } from 'react';
import { useMillrace } from './provider.ts';

/**
 * The newest data of each event of a channel, drawn at most once a frame however fast it comes: `useChannel('tickers').ticker`. Name what the
 * events carry: `useChannel<{ trade: Trade }>('trades:binance:BTC-USDT')`.
 */
export function useChannel<News extends object = Record<string, unknown>>(channel: string): Partial<News> {
  const millrace = useMillrace();
  const [news, setNews] = useState<{ channel: string; data: Partial<News> }>({ channel, data: {} });
  useEffect(() => {
    let newest: Partial<News> = {};
    let frame = 0;
    const stop = millrace.watch([channel], ({ event, data }) => {
      newest = { ...newest, [event]: data };
      if (frame === 0)
        frame = requestAnimationFrame(() => {
          frame = 0;
          setNews({ channel, data: newest });
        });
    });
    return () => {
      cancelAnimationFrame(frame);
      stop();
    };
  }, [millrace, channel]);
  return news.channel === channel ? news.data : {};
}
