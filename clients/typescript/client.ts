import type { ChannelName } from '@millrace/contracts';
import { browserSession, type Credentials, withoutSlash } from './rest/credentials.ts';
import type { MillraceError } from './rest/error.ts';
import { type Rest, restOver } from './rest/rest.ts';
import { openEventStreams } from './streams/event-stream.ts';
import { eventsOf } from './streams/events.ts';
import { SILENT_MS_MAX, type StreamMessage } from './streams/message.ts';
import { Streams, type WatchOptions } from './streams/streams.ts';
import { openWebSocket } from './streams/web-socket.ts';

const TIMEOUT_MS = 10_000;
const RETRY_MS_MAX = 15_000;

export interface ClientOptions {
  /** URL of the server. Default in a browser: the origin of the page. */
  readonly url?: string;
  /** `apiKey(…)`, `signIn(…)` or `accessTokens(…)`. Default: the browser session. */
  readonly credentials?: Credentials;
  /** Transport of streams: one WebSocket for all, or server-sent events with one response per subscription. Default: `websocket`. */
  readonly transport?: 'websocket' | 'sse';
  /** Timeout of a response, and of the first connection of a stream, ms. Default 10,000. */
  readonly timeoutMs?: number;
  /** Over a WebSocket: time without a reply to a ping after which the connection counts as lost, ms. Default 60,000. */
  readonly silentMsMax?: number;
  /** Maximum delay between two attempts to connect, ms. Default 15,000. */
  readonly retryMsMax?: number;
  readonly fetch?: typeof globalThis.fetch;
  /**
   * Receives the errors of streams without an `onError` in their `WatchOptions`. The code UNAUTHENTICATED means that the session
   * has ended. Default: logs to the console.
   */
  readonly onError?: (error: MillraceError) => void;
}

/** The operations and channels of one server. */
export interface Millrace extends Rest {
  /**
   * Subscribes to channels. Returns a function that unsubscribes. See `WatchOptions`.
   * @example const stop = millrace.watch(['tickers'], ({ event, data }) => …)
   */
  watch: Streams['watch'];
  /**
   * Like `watch`, as an endless loop: `for await (const message of millrace.events(['user']))`. Leaving the loop unsubscribes. Buffers 10,000 messages; when
   * a slow reader exceeds that, the oldest are dropped and a `gap` message names them.
   * @throws MillraceError if the server refuses credentials or channels, or cannot be reached within `timeoutMs` at first; the reason of an aborted signal
   */
  events<const Channel extends ChannelName>(
    channels: readonly Channel[],
    options?: WatchOptions,
  ): AsyncGenerator<StreamMessage<Channel>, void>;
  /** Time of the last message from the server on a stream, including replies to pings, epoch ms; null before the first. */
  readonly heardAt: number | null;
  /** Reconnects lost streams at once instead of after the retry delay. */
  reconnect(): void;
  /** Unsubscribes from all channels and closes the connection. */
  close(): void;
}

/**
 * A client for one server.
 * @example const millrace = createClient({ url: 'http://127.0.0.1:7420', credentials: apiKey('mill_…') })
 */
export function createClient(options: ClientOptions = {}): Millrace {
  const { credentials = browserSession, transport = 'websocket', timeoutMs = TIMEOUT_MS } = options;
  const url = withoutSlash(options.url ?? location.origin);
  const { silentMsMax = SILENT_MS_MAX, retryMsMax = RETRY_MS_MAX } = options;
  const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  const streams = new Streams(
    (connectionEvents) =>
      transport === 'sse'
        ? openEventStreams(url, credentials, fetch, timeoutMs, connectionEvents)
        : openWebSocket(url, credentials, timeoutMs, silentMsMax, connectionEvents),
    options.onError ?? ((error) => console.error(error)),
    timeoutMs,
    retryMsMax,
  );
  const watch: Streams['watch'] = (channels, listener, watching) => streams.watch(channels, listener, watching);
  return {
    ...restOver({ url, credentials, fetch, timeoutMs }),
    watch,
    events: (channels, watching) => eventsOf(watch, channels, watching),
    get heardAt() {
      return streams.heardAt;
    },
    reconnect: () => streams.reconnect(),
    close: () => streams.close(),
  };
}
