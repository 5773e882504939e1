import {
  INTERVAL_MS,
  INTERVALS,
  type InstrumentId,
  type InstrumentRepair,
  openingOf,
  type ReopenedCandle,
  type Trade,
} from '@millrace/contracts';
import { ApiProblem } from '@millrace/http';
import type { Reply } from '@millrace/kernel';
import type { RecomputeReads, SeriesStore } from '@millrace/series';
import { barAt, candleOf, decimalsOf } from './bars.ts';
import type { Instrument } from './instrument.ts';
import { computeCandles } from './recompute-candles.ts';

/** Maximum number of trades that one repair withdraws: one event holds them all. */
const WITHDRAWN_MAX = 1_000;
/** Maximum number of attempts when new data arrives while the store is read. */
const ATTEMPTS_MAX = 20;

/** What a repair needs from its process. */
export interface RepairParts {
  readonly series: Pick<SeriesStore, 'trades' | 'recomputeReads'>;
  /** The instrument and its seq. `isIdle`: its mailbox is empty. */
  view(id: InstrumentId): { readonly state: Instrument; readonly seq: number; readonly isIdle: boolean } | undefined;
  /** Resolves when the store has everything decided so far. @throws Error when the store cannot confirm it */
  settled(): Promise<void>;
  /** Resolves when the log has the events, or with the refusal. */
  submit(id: InstrumentId, command: { type: 'RepairInstrument' } & InstrumentRepair): Promise<Reply>;
}

/** What one repair withdrew. */
export interface RepairResult {
  readonly withdrawn: readonly Trade[];
  /** Time of the newest remaining data, epoch ms. */
  readonly newestAt: number;
}

/**
 * Withdraws all data of an instrument after a time and recomputes its candles from the rest. Changes nothing when there is no such data.
 * @param after epoch ms
 * @throws ApiProblem UNKNOWN_INSTRUMENT, CONFLICT
 */
export async function repairInstrument(parts: RepairParts, id: InstrumentId, after: number, reason: string): Promise<RepairResult> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const seq = viewOf(parts, id).seq;
    await parts.settled();
    if (viewOf(parts, id).seq !== seq) continue;
    const repair = await repairOf(parts, id, after, reason);
    const now = viewOf(parts, id);
    if (now.seq !== seq || !now.isIdle) continue;
    if (repair === null) return { withdrawn: [], newestAt: now.state.newestAt };
    const reply = await parts.submit(id, { type: 'RepairInstrument', ...repair });
    if (!reply.ok)
      throw new ApiProblem(
        'NOT_CONFIRMED',
        `The repair of "${id}" is not confirmed: ${reply.message}.`,
        'Send the request again. Completed steps are not repeated.',
      );
    await parts.settled();
    return { withdrawn: repair.withdrawn, newestAt: repair.newestAt };
  }
  throw new ApiProblem(
    'CONFLICT',
    `"${id}" changes faster than its history can be read.`,
    'Pause its source, repeat the repair, and resume the source.',
  );
}

function viewOf(parts: RepairParts, id: InstrumentId) {
  const view = parts.view(id);
  if (!view) throw new ApiProblem('UNKNOWN_INSTRUMENT', `Unknown instrument "${id}".`, 'GET /api/v1/instruments lists all instruments.');
  return view;
}

/** Null when there is nothing to withdraw. */
async function repairOf(parts: RepairParts, id: InstrumentId, after: number, reason: string): Promise<InstrumentRepair | null> {
  const { series } = parts;
  const { state } = viewOf(parts, id);
  const later = { instrument: id, from: after + 1, to: Number.MAX_SAFE_INTEGER, order: 'asc' } as const;
  const found = await series.trades({ ...later, limit: WITHDRAWN_MAX + 1 });
  if (found.length > WITHDRAWN_MAX)
    throw new ApiProblem(
      'CONFLICT',
      `More than ${WITHDRAWN_MAX} trades of "${id}" are after ${new Date(after).toISOString()}.`,
      'Give a later "cutoffAt".',
    );
  if (found.length === 0 && state.newestAt <= after && state.asOf <= after) return null;
  const [stored] = await series.trades({ instrument: id, from: Number.MIN_SAFE_INTEGER, to: after + 1, order: 'desc', limit: 1 });
  const last = stored ? tradeOf(stored) : null;
  const newestAt = Math.max(last?.time ?? 0, (await series.recomputeReads.newestOpening({ instrument: id, to: after + 1 })) ?? 0);
  const candles: ReopenedCandle[] = [];
  for (const interval of INTERVALS) {
    const from = openingOf(newestAt, interval);
    const reopened = formingOf(state, interval, from) ?? (await reopenedCandle(series.recomputeReads, id, interval, from, after));
    if (reopened) candles.push(reopened);
  }
  return { after, newestAt, reason, withdrawn: found.map(tradeOf), last, candles };
}

/** A candle that the venue is still forming is in memory only. */
function formingOf(state: Instrument, interval: ReopenedCandle['interval'], time: number): ReopenedCandle | null {
  const bar = barAt(state.bars[interval], time);
  if (bar?.origin !== 'venue' || bar.closed) return null;
  const { firstTime, firstOrder, lastTime, lastOrder, decimals } = bar;
  return { interval, candle: candleOf(bar), origin: 'venue', firstTime, firstOrder, lastTime, lastOrder, decimals, version: 0 };
}

async function reopenedCandle(
  reads: RecomputeReads,
  instrument: InstrumentId,
  interval: ReopenedCandle['interval'],
  from: number,
  after: number,
): Promise<ReopenedCandle | null> {
  const made = (await computeCandles(reads, { instrument, interval, from, to: Math.min(after + 1, from + INTERVAL_MS[interval]) })).get(
    from,
  );
  if (!made) return null;
  const { candle, origin, sum, stored } = made;
  const place = {
    firstTime: sum?.firstTime ?? from,
    firstOrder: sum?.firstOrder ?? 0,
    lastTime: sum?.lastTime ?? from,
    lastOrder: sum?.lastOrder ?? 0,
  };
  // Infinity cannot be written to the log.
  const decimals = Math.min(99, Math.max(sum?.decimals ?? 0, decimalsOf(String(candle.volume))));
  return { interval, candle, origin, ...place, decimals, version: origin === 'venue' ? (stored?.version ?? 1) : 0 };
}

function tradeOf({ id, order, time, price, quantity, side }: Trade): Trade {
  return { id, order, time, price, quantity, side };
}
