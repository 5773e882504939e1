import { ApiProblem } from '@millrace/http';
import { type Clock, messageOf, within } from '@millrace/kernel';
import type { CandleColumns, CandleQuery, RecomputeReads, SeriesStore } from '@millrace/series';

/** Time limit of a read for a request, ms. */
const ANSWER_MS_MAX = 10_000;
/** Maximum number of pending reads, including those whose request has timed out. */
export const UNANSWERED_MAX = 1_000;

/** Minimum time between two reports of failures, ms: many requests fail for one reason. */
const REPORT_EVERY_MS = 1_000;

/** Reads of the store for requests. */
export type History = Pick<SeriesStore, 'has' | 'candles' | 'trades' | 'readings'> & {
  readonly recomputeReads: Pick<RecomputeReads, 'candles' | 'tradeSums'>;
};

/**
 * Reads of the store for requests. A failure or timeout becomes a 503 with the advice to retry. The reason is passed only to `onFailure`, at most once a second: it may
 * contain file names. While too many reads are pending, new ones are refused.
 * @throws HISTORY_UNAVAILABLE from each read
 */
export function historyForRequests(series: History, clock: Clock, onFailure: (message: string) => void): History {
  let unanswered = 0;
  let reportedAt = Number.NEGATIVE_INFINITY;
  const report = (message: string) => {
    if (clock.elapsed() - reportedAt < REPORT_EVERY_MS) return;
    reportedAt = clock.elapsed();
    onFailure(message);
  };
  const tracked = async <T>(read: () => Promise<T>): Promise<T> => {
    if (unanswered >= UNANSWERED_MAX) throw new Error(`it owes ${unanswered} answers already`);
    unanswered++;
    try {
      return await read();
    } finally {
      unanswered--;
    }
  };
  const ask = async <T>(what: string, read: () => Promise<T>): Promise<T> => {
    try {
      return await within(clock, ANSWER_MS_MAX, 'the history', tracked(read));
    } catch (error) {
      report(`${what} could not be read from the history: ${messageOf(error)}`);
      throw new ApiProblem(
        'HISTORY_UNAVAILABLE',
        `${what} cannot be read from storage now.`,
        'Try again in a moment. Quotes, books and streams are not affected.',
      );
    }
  };
  return {
    has: (instrument) => series.has(instrument),
    candles: (query: CandleQuery): Promise<CandleColumns> => ask('Candles', () => series.candles(query)),
    trades: (query) => ask('Trades', () => series.trades(query)),
    readings: (query) => ask('Readings', () => series.readings(query)),
    recomputeReads: {
      candles: (query) => ask('Candles', () => series.recomputeReads.candles(query)),
      tradeSums: (query) => ask('Candles', () => series.recomputeReads.tradeSums(query)),
    },
  };
}
