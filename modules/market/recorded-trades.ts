import type { InstrumentId, Trade } from '@millrace/contracts';
import { type Clock, within } from '@millrace/kernel';
import type { RowKey, SeriesStore } from '@millrace/series';
import { type DedupWindow, judgeTrade } from './dedup-window.ts';

/** Number of stored trades that are read at once. */
const PAGE = 5_000;
/** Time limit of one read of the store, ms: the trades that the venue sends meanwhile wait in memory. */
const READ_MS_MAX = 10_000;

export interface RecordedTradesParts {
  readonly clock: Clock;
  readonly series: Pick<SeriesStore, 'trades'>;
  /** The trades that the zone has received. Undefined when there is no such instrument yet. */
  seen(): DedupWindow | undefined;
  /** Resolves when the store has everything decided so far. @throws Error when the store cannot confirm it */
  settled(): Promise<void>;
}

/**
 * The trades that an instrument has not recorded. Where its dedup window cannot tell, the stored trades of that time do.
 * @throws Error when the store cannot be read, or not in time
 */
export async function unrecordedTrades(
  { clock, series, seen, settled }: RecordedTradesParts,
  instrument: InstrumentId,
  trades: readonly Trade[],
  numbered: boolean,
): Promise<readonly Trade[]> {
  const verdictOn = (trade: Trade) => {
    const window = seen();
    return window ? judgeTrade(window, trade, numbered) : 'new';
  };
  const undecided = trades.filter((trade) => verdictOn(trade) === 'too-late');
  if (undecided.length === 0) return trades.filter((trade) => verdictOn(trade) === 'new');
  await settled();
  const times = trades.map(({ time }) => time);
  const stored = await storedIds({ clock, series }, instrument, Math.min(...times), Math.max(...times));
  // Meanwhile more trades may have been recorded.
  return trades.filter((trade) => verdictOn(trade) !== 'seen' && !stored.has(trade.id));
}

/** Ids of the stored trades between two times, both inclusive, epoch ms. */
async function storedIds(
  { clock, series }: Pick<RecordedTradesParts, 'clock' | 'series'>,
  instrument: InstrumentId,
  from: number,
  to: number,
): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  for (let after: RowKey | undefined; ; ) {
    const read = series.trades({ instrument, from, to: to + 1, order: 'asc', limit: PAGE, ...(after && { after }) });
    const page = await within(clock, READ_MS_MAX, 'the store', read);
    for (const { id } of page) ids.add(id);
    const last = page.at(-1);
    if (!last || page.length < PAGE) return ids;
    after = [last.time, last.order, last.arrival];
  }
}
