const EVENTS = ['ticker', 'source', 'candle', 'trade', 'quote', 'book', 'reading', 'gap'] as const;
export type LiveEvent = (typeof EVENTS)[number];

const RETRY_MS = 1_000;

/**
 * Watches channels. EventSource resumes by itself after a broken connection; when it gives up (the server answered with an
 * error), a new one is tried. Returns what ends it.
 */
export function watch(
  channels: readonly string[],
  onEvent: (event: LiveEvent, channel: string, data: unknown) => void,
  onConnected: (connected: boolean) => void = () => {},
): () => void {
  let source: EventSource;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  const open = () => {
    source = new EventSource(`/api/v1/stream?channels=${channels.map(encodeURIComponent).join(',')}`);
    source.onopen = () => onConnected(true);
    source.onerror = () => {
      onConnected(false);
      if (source.readyState === EventSource.CLOSED && !ended) timer = setTimeout(open, RETRY_MS);
    };
    for (const event of EVENTS)
      source.addEventListener(event, ({ data }) => {
        const message = JSON.parse(data) as { channel: string; data: unknown };
        onEvent(event, message.channel, message.data);
      });
  };
  open();
  return () => {
    ended = true;
    clearTimeout(timer);
    source.close();
  };
}
