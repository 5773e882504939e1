import { INTERVALS, type InstrumentId } from '@millrace/contracts';
import { noBars } from './bars.ts';
import type { History } from './history.ts';
import type { Instrument } from './instrument.ts';

/** Fields of an instrument for requests about its history. */
export type KnownInstrument = Pick<Instrument, 'status' | 'asOf' | 'bars'>;

/** Range of all times. */
const EVER = { from: Number.MIN_SAFE_INTEGER, to: Number.MAX_SAFE_INTEGER } as const;

/**
 * An instrument with history: from its zone, or, if its source was removed, from the store; then it is stale.
 * @returns undefined when the instrument never existed
 */
export async function knownInstrument(
  { series, instrument }: { readonly series: History; instrument(id: InstrumentId): Instrument | undefined },
  id: InstrumentId,
): Promise<KnownInstrument | undefined> {
  const state = instrument(id);
  if (state) return state;
  if (!series.has(id)) return undefined;
  return { status: 'stale', asOf: await newestTime(series, id), bars: noBars() };
}

/** Time of the newest data, epoch ms; 0 when all of it was deleted. */
async function newestTime(series: History, id: InstrumentId): Promise<number> {
  const newest = { instrument: id, ...EVER, order: 'desc', limit: 1 } as const;
  const [trades, readings] = await Promise.all([series.trades(newest), series.readings(newest)]);
  const time = Math.max(trades.at(-1)?.time ?? 0, readings.at(-1)?.time ?? 0);
  if (time > 0) return time;
  for (const interval of INTERVALS) {
    const candles = await series.candles({ ...newest, interval });
    const last = candles.time.at(-1);
    if (last !== undefined) return last;
  }
  return 0;
}
