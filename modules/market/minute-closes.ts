import type { Candle } from '@millrace/contracts';
import type { Instrument } from './instrument.ts';

/** Number of newest closed one-minute candles whose closing prices are kept. */
const MINUTE_CLOSES_MAX = 60;

/** Notes the closing price of a closed one-minute candle, or its correction. */
export function noteMinuteClose(state: Pick<Instrument, 'minuteCloses' | 'minuteOpenings' | 'bars'>, { time, close }: Candle): void {
  const { minuteCloses: closes } = state;
  state.minuteOpenings ??= [];
  const openings = state.minuteOpenings;
  const at = openings.findLastIndex((opening) => opening <= time);
  const place = closes.length - openings.length + at;
  if (openings[at] === time) {
    closes[place] = close;
    return;
  }
  // Snapshots of older versions have closes without their opening times: where an older candle belongs among them is not known.
  const isAmongUnknown = at < 0 && closes.length > openings.length;
  if (isAmongUnknown && time < (state.bars['1m'].at(-1)?.time ?? 0)) return;
  closes.splice(place + 1, 0, close);
  openings.splice(at + 1, 0, time);
  if (closes.length > MINUTE_CLOSES_MAX) closes.shift();
  if (openings.length > closes.length) openings.shift();
}
