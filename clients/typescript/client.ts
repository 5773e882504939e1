import type { ChannelName } from '@millrace/contracts';
import { browserSession, type Credentials } from './rest/credentials.ts';
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
  /** Where the server is; in a browser, where the page comes from when left out. */
  readonly url?: string;
  /** `apiKey(…)`, `signIn(…)`, `accessTokens(…)`; a browser’s own session when left out. */
  readonly credentials?: Credentials;
  /** How streams come: over one WebSocket for all, or as server-sent events, one response for each watcher. */
  readonly transport?: 'websocket' | 'sse';
  /** Longest that an answer, or a stream’s first connection, may take, ms. */
  readonly timeoutMs?: number;
  /** Over a WebSocket: how long the server may leave a ping without an answer before the connection counts as lost, ms. Default 60,000. */
  readonly silentMsMax?: number;
  /** Longest wait between two attempts to connect, ms. Default 15,000. */
  readonly retryMsMax?: number;
  readonly fetch?: typeof globalThis.fetch;
  /**
   * Receives the errors of streams whose watcher has no `onError` of its own; see `WatchOptions.onError`. The code UNAUTHENTICATED means that the session
   * is over. Default: written to the console.
   */
  readonly onError?: (error: MillraceError) => void;
}

/** A server: its operations, and its channels. */
export interface Millrace extends Rest {
  /**
   * Watches channels until what this returns is called; see `WatchOptions`.
   * @example const stop = millrace.watch(['tickers'], ({ event, data }) => …)
   */
  watch: Streams['watch'];
  /**
   * The same as an endless loop: `for await (const message of millrace.events(['user']))`. Leaving the loop ends it. Who reads slowly is told with `gap`
   * which messages were dropped, beyond 10,000 that wait.
   * @throws MillraceError when the server refuses credentials or channels, or cannot be reached within `timeoutMs` at first; what the signal was aborted with
   */
  events<const Channel extends ChannelName>(
    channels: readonly Channel[],
    options?: WatchOptions,
  ): AsyncGenerator<StreamMessage<Channel>, void>;
  /** When a stream last heard of the server, an answer to a ping included, ms since the epoch; null before that. */
  readonly heardAt: number | null;
  /** Connects lost streams at once instead of at the next attempt: for when there is reason to believe that the server is back. */
  reconnect(): void;
  /** Ends everything that is watched. */
  close(): void;
}

/**
 * A client for one server.
 * @example const millrace = createClient({ url: 'http://127.0.0.1:7420', credentials: apiKey('mill_…') })
 */
export function createClient(options: ClientOptions = {}): Millrace {
  const { url = location.origin, credentials = browserSession, transport = 'websocket', timeoutMs = TIMEOUT_MS } = options;
  const { silentMsMax = SILENT_MS_MAX, retryMsMax = RETRY_MS_MAX } = options;
  const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  const streams = new Streams(
    (told) =>
      transport === 'sse'
        ? openEventStreams(url, credentials, fetch, timeoutMs, told)
        : openWebSocket(url, credentials, timeoutMs, silentMsMax, told),
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
