import type { InstrumentId } from '@millrace/contracts';
import type { SeriesStore } from '@millrace/series';
import { type CandleDifference, checkCandles } from './candle-check.ts';

/** Time limit of the check of one instrument, ms. */
const CHECK_MS_MAX = 5_000;

/** Checks the stored candles of one instrument after another, and keeps the differences found by the last check of each. */
export class CandleWatch {
  readonly #series: SeriesStore;
  readonly #instruments: () => readonly InstrumentId[];
  readonly #onDifference: (difference: CandleDifference) => void;
  readonly #differing = new Map<InstrumentId, number>();
  #last: InstrumentId | null = null;
  readonly #check: typeof checkCandles;
  #isBusy = false;

  constructor(
    series: SeriesStore,
    instruments: () => readonly InstrumentId[],
    onDifference: (difference: CandleDifference) => void,
    check = checkCandles,
  ) {
    this.#check = check;
    this.#series = series;
    this.#instruments = instruments;
    this.#onDifference = onDifference;
  }

  /** Checks the next instrument. Does nothing while a check is in progress. */
  async checkNext(): Promise<void> {
    const all = this.#instruments();
    const instrument = all[(all.indexOf(this.#last as InstrumentId) + 1) % all.length];
    if (instrument === undefined || this.#isBusy) return;
    this.#isBusy = true;
    this.#last = instrument;
    try {
      const end = performance.now() + CHECK_MS_MAX;
      const { differing, differences } = await this.#check(this.#series, instrument, () => performance.now() > end);
      if (differing === 0) this.#differing.delete(instrument);
      else this.#differing.set(instrument, differing);
      for (const difference of differences) this.#onDifference(difference);
    } finally {
      this.#isBusy = false;
    }
  }

  /** Instruments with differing stored candles, and the number of differing samples of each. */
  differing(): { instrument: InstrumentId; candles: number }[] {
    return [...this.#differing].map(([instrument, candles]) => ({ instrument, candles }));
  }
}
