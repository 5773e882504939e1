import { type Candle, type Gap, INTERVAL_MS, type Interval, openingOf } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { CandleHistory, GetJson } from './source.ts';

/** A venue’s candle is final some seconds after its end. */
const SETTLES_MS = 5_000;

export interface GapCandlesOptions {
  readonly clock: Clock;
  readonly history: CandleHistory;
  readonly get: GetJson;
  readonly onRepaired: () => void;
  readonly onFailure: () => void;
}

/** Candles that a gap runs through have a wrong volume: reads the venue’s own, which replace them once the last is closed. */
export class GapCandles {
  readonly #options: GapCandlesOptions;

  constructor(options: GapCandlesOptions) {
    this.#options = options;
  }

  /** @param record receives each whole candle of the venue within the gap */
  readLater(symbol: string, gap: Gap, record: (interval: Interval, candle: Candle) => void): void {
    const { clock, onFailure } = this.#options;
    const end = openingOf(gap.to, '1m') + INTERVAL_MS['1m'];
    // Where the gap is long past, its candles are final already.
    clock.after(Math.max(0, end - Math.max(gap.to, clock.now())) + SETTLES_MS, () => {
      this.#read(symbol, gap.from, end, record).catch(onFailure);
    });
  }

  async #read(symbol: string, from: number, end: number, record: (interval: Interval, candle: Candle) => void): Promise<void> {
    const { history, get, onRepaired } = this.#options;
    for (const interval of history.intervals) {
      const length = INTERVAL_MS[interval];
      for (let next = openingOf(from, interval); next + length <= end; ) {
        const page = await history.read(symbol, interval, next, end, get);
        for (const candle of page) if (candle.time + length <= end) record(interval, candle);
        const last = page.at(-1);
        if (!last || last.time < next) break;
        next = last.time + length;
      }
    }
    onRepaired();
  }
}
