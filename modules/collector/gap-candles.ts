import { type Candle, type Gap, INTERVAL_MS, type Interval, openingOf } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import { Backoff } from '@millrace/resilience';
import type { CandleHistory, GetJson } from './source.ts';

/** A venue’s candle is final some seconds after its end. */
const SETTLES_MS = 5_000;
/** Delay of the first retry when candles cannot be read, ms. It doubles, with jitter; all retries together take 7 to 14 hours. */
const RETRY_FIRST_MS = 30_000;
const RETRY_MS_MAX = 3_600_000;
const RETRIES_MAX = 20;

export interface GapCandlesOptions {
  readonly clock: Clock;
  readonly history: CandleHistory;
  readonly get: GetJson;
  readonly onRepaired: () => void;
  readonly onFailure: () => void;
}

/** Progress of the candles of a gap. A failed read goes on from here. */
interface Reading {
  readonly symbol: string;
  /** End of the last candle, epoch ms. */
  readonly end: number;
  /** Receives each whole candle of the venue within the gap. */
  readonly record: (interval: Interval, candle: Candle) => void;
  /** Opening of the next candle to read, by interval, epoch ms. */
  readonly next: Map<Interval, number>;
  readonly backoff: Backoff;
}

/** Candles that a gap runs through have a wrong volume: reads the venue’s own, which replace them once the last is closed. */
export class GapCandles {
  readonly #options: GapCandlesOptions;

  constructor(options: GapCandlesOptions) {
    this.#options = options;
  }

  /** @param record receives each whole candle of the venue within the gap */
  readLater(symbol: string, gap: Gap, record: Reading['record']): void {
    const { clock, history } = this.#options;
    const end = openingOf(gap.to, '1m') + INTERVAL_MS['1m'];
    const next = new Map(history.intervals.map((interval) => [interval, openingOf(gap.from, interval)]));
    const reading = { symbol, end, record, next, backoff: new Backoff(RETRY_FIRST_MS, RETRY_MS_MAX) };
    // Where the gap is long past, its candles are final already.
    this.#readAfter(Math.max(0, end - Math.max(gap.to, clock.now())) + SETTLES_MS, reading);
  }

  #readAfter(waitMs: number, reading: Reading): void {
    const { clock, onRepaired, onFailure } = this.#options;
    clock.after(waitMs, () => {
      this.#read(reading).then(onRepaired, () => {
        onFailure();
        if (reading.backoff.attempts < RETRIES_MAX) this.#readAfter(reading.backoff.next(), reading);
      });
    });
  }

  async #read({ symbol, end, record, next }: Reading): Promise<void> {
    const { history, get } = this.#options;
    for (const [interval, from] of next) {
      const length = INTERVAL_MS[interval];
      for (let opening = from; opening + length <= end; ) {
        const page = await history.read(symbol, interval, opening, end, get);
        for (const candle of page) if (candle.time + length <= end) record(interval, candle);
        const last = page.at(-1);
        if (!last || last.time < opening) break;
        opening = last.time + length;
        next.set(interval, opening);
      }
    }
  }
}
