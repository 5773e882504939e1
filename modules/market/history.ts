import type { Reading, Trade } from '@millrace/contracts';
import { type Clock, messageOf, within } from '@millrace/kernel';
import { ApiProblem } from '@millrace/platform/http';
import type { CandleColumns, CandleQuery, SeriesStore } from '@millrace/platform/series';

/** Longest a request waits for the store. */
const ANSWER_MS_MAX = 10_000;

/** What requests read from the store. */
export type History = Pick<SeriesStore, 'candles' | 'trades' | 'readings'>;

/**
 * The store as requests see it: its failure, or no answer in time, becomes a 503 that says to try again. The reason goes to `onFailure` only: it may name files.
 * @throws HISTORY_UNAVAILABLE from each read
 */
export function historyForRequests(series: History, clock: Clock, onFailure: (message: string) => void): History {
  const ask = async <T>(what: string, work: Promise<T>): Promise<T> => {
    try {
      return await within(clock, ANSWER_MS_MAX, 'the history', work);
    } catch (error) {
      onFailure(`${what} could not be read from the history: ${messageOf(error)}`);
      throw new ApiProblem(
        'HISTORY_UNAVAILABLE',
        `${what} cannot be read from the history now.`,
        'Try again in a moment. Quotes, books and streams are not affected.',
      );
    }
  };
  return {
    candles: (query: CandleQuery): Promise<CandleColumns> => ask('Candles', series.candles(query)),
    trades: (query): Promise<Trade[]> => ask('Trades', series.trades(query)),
    readings: (query): Promise<Reading[]> => ask('Readings', series.readings(query)),
  };
}
