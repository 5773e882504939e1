import { type InstrumentEvent, isInstrumentId } from '@millrace/contracts';
import { type EventBatch, keyOf, kindOf } from '@millrace/kernel';
import { CannotApply, type Projection } from '@millrace/platform/log';
import type { CandleRow, ReadingRow, SeriesStore, TradeRow } from '@millrace/platform/series';

const GROUP = 'series';

/** Writes trades, closed candles, corrections and readings to the series store as the log brings them. */
export function seriesProjection(series: SeriesStore): Projection {
  return {
    name: GROUP,
    wants: (zone) => kindOf(zone) === 'instrument',
    offsets: () => series.offsets(GROUP),
    apply: async (batches, read) => {
      const rows = { trades: [] as TradeRow[], candles: [] as CandleRow[], readings: [] as ReadingRow[] };
      for (const batch of batches) addRows(batch, rows);
      await series.write(rows, read.length > 0 ? { group: GROUP, read } : null);
    },
  };
}

function addRows(batch: EventBatch, rows: { trades: TradeRow[]; candles: CandleRow[]; readings: ReadingRow[] }): void {
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
        rows.candles.push({ instrument, known, interval: event.interval, ...event.candle, version: 1, origin: event.origin });
        break;
      case 'CandleCorrected':
        rows.candles.push({ instrument, known, interval: event.interval, ...event.candle, version: event.version, origin: event.origin });
        break;
      case 'ReadingRecorded':
        rows.readings.push({ instrument, known, arrival, ...event.reading });
    }
  }
}
