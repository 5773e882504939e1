import { type InstrumentEvent, type InstrumentId, type Interval, isInstrumentId, openingOf } from '@millrace/contracts';
import { type EventBatch, keyOf, kindOf } from '@millrace/kernel';
import { CannotApply, type Projection } from '@millrace/log';
import type { CandleRow, ReadingRow, RecomputeTransaction, SeriesStore, TradeRow, Withdrawal } from '@millrace/series';
import { type OldCandle, recomputeCandles } from './recompute-candles.ts';

/** Name of the consumer group. */
export const SERIES_GROUP = 'series';

/** New rows of the store. */
export interface Stored {
  readonly instruments: ReadonlySet<InstrumentId>;
  /** Candles that the store computed again from data that was too late for memory. They were not published before. */
  readonly remade: readonly CandleRow[];
}

/** Writes trades, closed candles, corrections and readings of the log to the series store. */
export function seriesProjection(series: SeriesStore, onStored: (stored: Stored) => void = () => {}): Projection {
  return {
    name: SERIES_GROUP,
    wants: (zone) => kindOf(zone) === 'instrument',
    offsets: () => series.offsets(SERIES_GROUP),
    apply: async (batches, read) => {
      const rows: Rows = { trades: [], candles: [], readings: [], old: [], given: [], withdrawn: [] };
      for (const batch of batches) addRows(batch, rows);
      const { old, given } = rows;
      let remade: readonly CandleRow[] = [];
      const recompute = async (transaction: RecomputeTransaction) => {
        remade = await recomputeCandles(transaction, old, given);
      };
      await series.write(
        rows,
        read.length > 0 ? { group: SERIES_GROUP, read } : null,
        old.length + given.length > 0 ? recompute : undefined,
      );
      const instruments = new Set(batches.map(({ zone }) => keyOf(zone)).filter(isInstrumentId));
      onStored({ instruments, remade });
    },
  };
}

interface Rows {
  readonly trades: TradeRow[];
  readonly candles: CandleRow[];
  readonly readings: ReadingRow[];
  /** Candles that only the store has and must compute again. */
  readonly old: OldCandle[];
  /** Candles of the venue that only the store has or gets. */
  readonly given: CandleRow[];
  readonly withdrawn: Withdrawal[];
}

function addRows(batch: EventBatch, rows: Rows): void {
  const instrument = keyOf(batch.zone);
  if (!isInstrumentId(instrument)) return;
  const known = batch.time;
  for (const [index, event] of (batch.events as unknown as InstrumentEvent[]).entries()) {
    const arrival = batch.firstSeq + index;
    switch (event.type) {
      case 'TradeRecorded': {
        const { trade } = event;
        if (typeof trade?.price !== 'string')
          throw new CannotApply(batch, `an event TradeRecorded without a price: ${JSON.stringify(event).slice(0, 200)}`);
        rows.trades.push({ instrument, known, arrival, ...trade });
        break;
      }
      case 'CandleClosed':
      case 'CandleCorrected': {
        const { interval, candle, origin, old } = event;
        const version = event.type === 'CandleClosed' ? 1 : event.version;
        const row = { instrument, known, interval, ...candle, version, origin };
        (old ? rows.given : rows.candles).push(row);
        break;
      }
      case 'PastCandlesChanged':
        for (const interval of event.intervals) rows.old.push({ instrument, interval, time: openingOf(event.time, interval), known });
        break;
      case 'InstrumentMended':
        withdraw({ instrument, after: event.after, reopened: event.newestAt }, rows);
        break;
      case 'ReadingRecorded':
        rows.readings.push({ instrument, known, arrival, ...event.reading });
    }
  }
}

/** Withdraws from the store, and from the rows of earlier events that are not written yet. */
function withdraw(withdrawal: Withdrawal, rows: Rows): void {
  const { instrument, after, reopened } = withdrawal;
  rows.withdrawn.push(withdrawal);
  const isOurs = (row: { instrument: string }) => row.instrument === instrument;
  const isReopened = ({ interval, time }: { interval: Interval; time: number }) => time >= openingOf(reopened, interval);
  keep(rows.trades, (row) => !isOurs(row) || row.time <= after);
  keep(rows.readings, (row) => !isOurs(row) || row.time <= after);
  keep(rows.old, (row) => !isOurs(row) || !isReopened(row));
  for (const list of [rows.candles, rows.given])
    keep(list, (row) => !isOurs(row) || (row.origin === 'venue' ? row.time <= after : !isReopened(row)));
}

function keep<T>(list: T[], isKept: (one: T) => boolean): void {
  list.splice(0, list.length, ...list.filter(isKept));
}
