import type { Millrace, MillraceError, StreamStatus } from '@millrace/client';
import { isFinal } from '@millrace/client';
import type { Candle, CandleEvent, Interval } from '@millrace/contracts';

/** Delay before a failed request is repeated: the first, and the longest after several failures, ms. */
const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 30_000;

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

export const NO_CANDLES: CandleSeries = { candles: [], status: 'loading', error: null };

export interface CandleQuery {
  readonly instrument: string;
  readonly interval: Interval;
  /** Maximum number of candles. */
  readonly limit: number;
}

/**
 * The newest candles of an instrument: read from the API, then updated from the stream. A failed request is repeated while a retry may help. A new request
 * replaces one that is running: of an older one, neither the response nor the error has an effect.
 */
export class LiveCandles {
  readonly #millrace: Pick<Millrace, 'getCandles' | 'watch'>;
  readonly #query: CandleQuery;
  /** Called when `series` has changed. */
  readonly #onChange: () => void;
  readonly #byTime = new Map<number, SeriesCandle>();
  /** Aborts the newest request. It is aborted itself only by `close`. */
  #request = new AbortController();
  /** Candles that arrive during the API request: newer than its response. Null when no request is running. */
  #arrived: CandleEvent[] | null = null;
  /** Status of the source, by the newest response or candle; null before the first response and while the request after a failure runs. */
  #source: 'live' | 'stale' | null = null;
  #isConnectionLost = false;
  #requestError: MillraceError | null = null;
  /** Until the stream is live again. */
  #streamError: MillraceError | null = null;
  #retryMs = RETRY_FIRST_MS;
  #retry: ReturnType<typeof setTimeout> | undefined;
  readonly #stop: () => void;

  constructor(millrace: Pick<Millrace, 'getCandles' | 'watch'>, query: CandleQuery, onChange: () => void) {
    this.#millrace = millrace;
    this.#query = query;
    this.#onChange = onChange;
    this.#stop = this.#watch();
    this.#read();
  }

  get series(): CandleSeries {
    const error = this.#error;
    if (error) return { ...NO_CANDLES, status: 'failed', error };
    const candles = [...this.#byTime.values()].sort((one, other) => one.time - other.time).slice(-this.#query.limit);
    return { candles, status: this.#status, error: null };
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#request.abort();
    this.#stop();
  }

  get #error(): MillraceError | null {
    return this.#requestError ?? this.#streamError;
  }

  get #status(): 'loading' | 'live' | 'stale' {
    if (this.#source === null) return 'loading';
    return this.#isConnectionLost ? 'stale' : this.#source;
  }

  #watch(): () => void {
    const { instrument, interval } = this.#query;
    return this.#millrace.watch(
      [`candles:${instrument}:${interval}`],
      ({ event, data }) => {
        if (event === 'gap') return this.#read();
        if (event !== 'candle' || this.#error) return;
        if (this.#arrived) this.#arrived.push(data);
        else this.#store(data);
        if (this.#source !== null) this.#source = data.status;
        this.#onChange();
      },
      { onStatus: (connection) => this.#connectionIs(connection), onError: (error) => this.#streamFailed(error) },
    );
  }

  #connectionIs(connection: StreamStatus): void {
    if (connection !== 'live' && connection !== 'waiting') return;
    this.#isConnectionLost = connection === 'waiting';
    if (connection === 'live' && this.#error) {
      this.#source = null;
      this.#streamError = null;
      // The server was unavailable at the first request.
      this.#read();
    }
    this.#onChange();
  }

  #streamFailed(error: MillraceError): void {
    if (this.#request.signal.aborted) return;
    this.#streamError = error;
    this.#onChange();
  }

  #store(candle: CandleEvent): void {
    const { limit } = this.#query;
    this.#byTime.set(candle.time, candle);
    if (this.#byTime.size > limit * 2)
      for (const time of [...this.#byTime.keys()].sort((one, other) => one - other).slice(0, limit)) this.#byTime.delete(time);
  }

  #read(): void {
    clearTimeout(this.#retry);
    if (this.#error) this.#source = null;
    this.#requestError = null;
    this.#request.abort();
    this.#request = new AbortController();
    this.#arrived = [];
    const { signal } = this.#request;
    const { instrument, interval, limit } = this.#query;
    this.#millrace.getCandles({ id: instrument, interval, limit }, { signal }).then(
      (response) => signal.aborted || this.#responded(response),
      (error: MillraceError) => signal.aborted || this.#requestFailed(error),
    );
  }

  #responded({ rows, status }: Awaited<ReturnType<Millrace['getCandles']>>): void {
    const before = new Map(this.#byTime);
    // The response is complete from its oldest candle on: others were withdrawn.
    const oldest = rows.length < this.#query.limit ? Number.NEGATIVE_INFINITY : (rows.at(-1)?.[0] ?? 0);
    for (const time of before.keys()) if (time >= oldest) this.#byTime.delete(time);
    for (const [time, open, high, low, close, volume] of rows)
      this.#byTime.set(time, { time, open, high, low, close, volume, trades: before.get(time)?.trades ?? null });
    const arrived = this.#arrived ?? [];
    for (const candle of arrived) this.#store(candle);
    this.#arrived = null;
    this.#retryMs = RETRY_FIRST_MS;
    this.#source = arrived.at(-1)?.status ?? status;
    this.#onChange();
  }

  #requestFailed(error: MillraceError): void {
    this.#arrived = null;
    this.#requestError = error;
    this.#onChange();
    if (isFinal(error)) return;
    // The stream may be live all the time, and then nothing else leads to another request.
    this.#retry = setTimeout(() => this.#read(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MOST_MS);
  }
}
