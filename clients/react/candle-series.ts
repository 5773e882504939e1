import type { Millrace, MillraceError } from '@millrace/client';
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

/** The newest candles of an instrument: read from the API, then updated from the stream. A failed request is repeated while a retry may help. */
export class LiveCandles {
  readonly #millrace: Pick<Millrace, 'getCandles' | 'watch'>;
  readonly #query: CandleQuery;
  /** Called when `series` has changed. */
  readonly #onChange: () => void;
  readonly #abort = new AbortController();
  readonly #byTime = new Map<number, SeriesCandle>();
  /** Candles that arrive during the API request: newer than its response. Null when no request is running. */
  #arrived: CandleEvent[] | null = [];
  #status: CandleSeries['status'] = 'loading';
  #error: MillraceError | null = null;
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
    if (this.#status === 'failed') return { ...NO_CANDLES, status: 'failed', error: this.#error };
    const candles = [...this.#byTime.values()].sort((one, other) => one.time - other.time).slice(-this.#query.limit);
    return { candles, status: this.#status, error: null };
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#abort.abort();
    this.#stop();
  }

  #watch(): () => void {
    const { instrument, interval } = this.#query;
    return this.#millrace.watch(
      [`candles:${instrument}:${interval}`],
      ({ event, data }) => {
        if (event === 'gap') return this.#read();
        if (event !== 'candle' || this.#status === 'failed') return;
        if (this.#arrived) this.#arrived.push(data);
        else this.#store(data);
        if (this.#status === 'stale') this.#status = 'live';
        this.#onChange();
      },
      {
        onStatus: (connection) => {
          // The server was unavailable at the first request.
          if (connection === 'live' && this.#status === 'failed') this.#read();
          if (connection !== 'waiting' || this.#status !== 'live') return;
          this.#status = 'stale';
          this.#onChange();
        },
        onError: (error) => this.#fail(error),
      },
    );
  }

  #store(candle: CandleEvent): void {
    const { limit } = this.#query;
    this.#byTime.set(candle.time, candle);
    if (this.#byTime.size > limit * 2)
      for (const time of [...this.#byTime.keys()].sort((one, other) => one - other).slice(0, limit)) this.#byTime.delete(time);
  }

  #read(): void {
    clearTimeout(this.#retry);
    if (this.#status === 'failed') this.#status = 'loading';
    this.#request().catch((error: MillraceError) => {
      if (this.#abort.signal.aborted) return;
      this.#fail(error);
      if (isFinal(error)) return;
      // The stream may be live all the time, and then nothing else leads to another request.
      this.#retry = setTimeout(() => this.#read(), this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MOST_MS);
    });
  }

  async #request(): Promise<void> {
    const { instrument, interval, limit } = this.#query;
    this.#arrived = [];
    const response = await this.#millrace.getCandles({ id: instrument, interval, limit }, { signal: this.#abort.signal });
    for (const [time, open, high, low, close, volume] of response.rows)
      this.#byTime.set(time, { time, open, high, low, close, volume, trades: this.#byTime.get(time)?.trades ?? null });
    for (const candle of this.#arrived ?? []) this.#store(candle);
    this.#arrived = null;
    this.#retryMs = RETRY_FIRST_MS;
    this.#status = response.status;
    this.#onChange();
  }

  #fail(error: MillraceError): void {
    if (this.#abort.signal.aborted) return;
    this.#status = 'failed';
    this.#error = error;
    this.#onChange();
  }
}
