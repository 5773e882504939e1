import { browserSession, type Credentials } from './rest/credentials.ts';
import type { MillraceError } from './rest/error.ts';
import { type Rest, restOver } from './rest/rest.ts';
import { openEventStreams } from './streams/event-stream.ts';
import type { StreamMessage } from './streams/message.ts';
import { Streams, type WatchOptions } from './streams/streams.ts';
import { openWebSocket } from './streams/web-socket.ts';

const TIMEOUT_MS = 10_000;
/** Messages that wait for whoever reads `events` slowly; beyond it the oldest are let go of. */
const WAITING_MAX = 10_000;

export interface ClientOptions {
  /** Where the server is; in a browser, where the page comes from when left out. */
  readonly url?: string;
  /** `apiKey(…)`, `signIn(…)`, `accessTokens(…)`; a browser’s own session when left out. */
  readonly credentials?: Credentials;
  /** How streams come: over one WebSocket for all, or as server-sent events, one response for each watcher. */
  readonly transport?: 'websocket' | 'sse';
  /** Longest an answer may take, ms. */
  readonly timeoutMs?: number;
  readonly fetch?: typeof globalThis.fetch;
  /**
   * Told when the server will not have what is watched, where whoever watches does not ask to be. With the code SIGN_IN_FIRST the session is over.
   * On the console when left out.
   */
  readonly onRefused?: (error: MillraceError) => void;
}

/** A server: its operations, and its channels. */
export interface Millrace extends Rest {
  /**
   * Watches channels until what this returns is called; see `WatchOptions`.
   * @example const stop = millrace.watch(['tickers'], ({ event, data }) => …)
   */
  watch: Streams['watch'];
  /** The same as an endless loop: `for await (const message of millrace.events(['user']))`. Leaving the loop ends it. */
  events<const Channel extends string>(channels: readonly Channel[], options?: WatchOptions): AsyncGenerator<StreamMessage<Channel>, void>;
  /** Ends everything that is watched. */
  close(): void;
}

/**
 * A client for one server.
 * @example const millrace = createClient({ url: 'http://127.0.0.1:7420', credentials: apiKey('mill_…') })
 */
export function createClient(options: ClientOptions = {}): Millrace {
  const { url = location.origin, credentials = browserSession, transport = 'websocket', timeoutMs = TIMEOUT_MS } = options;
  const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  const streams = new Streams(
    (told) => (transport === 'sse' ? openEventStreams(url, credentials, fetch, told) : openWebSocket(url, credentials, told)),
    options.onRefused ?? ((error) => console.error(error)),
  );
  const watch: Streams['watch'] = (channels, listener, watching) => streams.watch(channels, listener, watching);
  return {
    ...restOver({ url, credentials, fetch, timeoutMs }),
    watch,
    events: (channels, watching) => eventsOf(watch, channels, watching),
    close: () => streams.close(),
  };
}

async function* eventsOf<const Channel extends string>(
  watch: Streams['watch'],
  channels: readonly Channel[],
  options: WatchOptions = {},
): AsyncGenerator<StreamMessage<Channel>, void> {
  const waiting: StreamMessage<Channel>[] = [];
  let failure: Error | null = null;
  let isOver = false;
  let wake: () => void = () => {};
  const stop = watch(
    channels,
    (message) => {
      if (waiting.length >= WAITING_MAX) waiting.shift();
      waiting.push(message);
      wake();
    },
    {
      onRefused: (error) => {
        failure = error;
        wake();
      },
      ...options,
      onStatus: (status) => {
        isOver = status === 'closed';
        options.onStatus?.(status);
        wake();
      },
    },
  );
  try {
    while (!isOver) {
      const message = waiting.shift();
      if (message) yield message;
      else if (failure) throw failure;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  } finally {
    stop();
  }
}
