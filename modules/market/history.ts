import type { Reading, Trade } from '@millrace/contracts';
import { type Clock, messageOf, within } from '@millrace/kernel';
import { ApiProblem } from '@millrace/platform/http';
import type { CandleColumns, CandleQuery, SeriesStore } from '@millrace/platform/series';

/** Longest the store may take for one answer; a query over all that it holds takes under two seconds. */
const ANSWER_MS_MAX = 10_000;

/** What is asked of the store by those who wait for an answer. */
export type History = Pick<SeriesStore, 'candles' | 'trades' | 'readings'>;

/**
 * The store as requests see it: one that fails or does not answer is a 503 with the reason, for the caller can try again.
 * @param onFailure told each time, for the log
 */
export function answeringHistory(series: History, clock: Clock, onFailure: (message: string) => void): History {
  const ask = async <T>(what: string, work: Promise<T>): Promise<T> => {
    try {
      return await within(clock, ANSWER_MS_MAX, 'the history', work);
    } catch (error) {
      onFailure(`${what} could not be read from the history: ${messageOf(error)}`);
      throw new ApiProblem(
        'HISTORY_UNAVAILABLE',
        `${what} cannot be read from the history now.`,
        'Try again in a moment; what is live is still told: quotes, books, streams.',
      );
    }
  };
  return {
    candles: (query: CandleQuery): Promise<CandleColumns> => ask('Candles', series.candles(query)),
    trades: (query): Promise<Trade[]> => ask('Trades', series.trades(query)),
    readings: (query): Promise<Reading[]> => ask('Readings', series.readings(query)),
  };
}
