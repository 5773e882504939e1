import { useEffect, useState } from 'react';
import { watch } from './stream.ts';

/** Watches a channel while the component is shown: the newest data of each of its events, drawn at most once a frame. */
export function useChannel<News extends object>(channel: string): Partial<News> {
  const [news, setNews] = useState<{ channel: string; data: Partial<News> }>({ channel, data: {} });
  useEffect(() => {
    let newest: Partial<News> = {};
    let frame = 0;
    const stop = watch([channel], (event, _channel, data) => {
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
  }, [channel]);
  return news.channel === channel ? news.data : {};
}
