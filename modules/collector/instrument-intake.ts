import { type BookUpdate, type Gap, type InstrumentCommand, type InstrumentId, openingOf, type Trade } from '@millrace/contracts';
import { withAlarms } from './alarms.ts';
import { BookSynchronizer } from './book-synchronizer.ts';
import { FaultReports } from './fault-reports.ts';
import { type FileProgress, markOf } from './file-progress.ts';
import type { GapCandles } from './gap-candles.ts';
import type { IntakeOptions } from './intake-options.ts';
import { bookProblem, candleProblem, type PriceRule } from './plausible.ts';
import type { Refusals } from './refusals.ts';
import type { TradeGap } from './source.ts';
import { TradeSequencer } from './trade-sequencer.ts';

/** State of one instrument in an intake. */
export interface InstrumentIntake extends PriceRule {
  readonly trades: TradeSequencer;
  readonly book: BookSynchronizer;
  readonly faults: FaultReports;
  /** Progress in the file that is read; null for other sources. */
  file: FileProgress | null;
  /** Venue time from which no trade must be missing, epoch ms: that of the first lost connection or of the first trade. Null before both. */
  beganAt: number | null;
  /** Frames of trades whose number is not confirmed by another trade yet. */
  readonly doubted: WeakMap<Trade, { readonly frame: string; readonly receivedAt: number }>;
  /** Ends the timers and the reads of its trades: another intake continues from the record. Its book and its file pass to that intake. */
  end(): void;
}

export interface InstrumentIntakeParts {
  readonly options: IntakeOptions;
  readonly refusals: Refusals;
  readonly gapCandles: GapCandles | null;
  readonly send: (command: InstrumentCommand) => void;
  readonly symbol: string;
  readonly instrument: InstrumentId;
  /** The intake that this one replaces. */
  readonly before?: InstrumentIntake;
}

/** An intake that continues from the record of its instrument. */
export function newInstrumentIntake(parts: InstrumentIntakeParts): InstrumentIntake {
  const { options, refusals, send, instrument, before } = parts;
  const faults = new FaultReports(options.clock, (report) => send({ type: 'RecordFault', ...report }));
  const rule: PriceRule = { instrument, negativePrices: options.negativePrices?.has(instrument) ?? false };
  const { clock, callOff } = withAlarms(options.clock);
  let isEnded = false;
  const doubted: InstrumentIntake['doubted'] = new WeakMap();
  const replaceCandles = (gap: Gap) => replaceGapCandles(parts, gap, rule, faults);
  const trades = new TradeSequencer(
    {
      clock,
      deliver: (trade, numbered, backfilled) => {
        if (isEnded) return;
        intake.beganAt ??= trade.time;
        send({ type: 'RecordTrade', trade, numbered, ...(backfilled && { backfilled }), ...markOf(intake) });
      },
      outOfOrder: (trade, after) => refusals.fault(faults, 'out-of-order', `trade ${trade.id} came after ${after.id}`),
      fetch: fetchOf(parts, rule, faults, () => isEnded),
      disorderMs: options.disorderMs ?? 0,
      unrecorded: (some, numbered) => options.market.unrecorded(instrument, some, numbered),
      recordGap: (gap) => {
        if (isEnded) return;
        refusals.count('gap');
        send({ type: 'RecordGap', gap });
        replaceCandles(gap);
      },
      recordRepair: (repair) => {
        if (isEnded) return;
        refusals.count('repair');
        send({ ...repair, type: 'RecordRepair' });
        for (const gap of repair.left) {
          refusals.count('gap');
          replaceCandles(gap);
        }
      },
      doubt: (trade) => void doubted.set(trade, refusals.current),
      setAside: (trade, reason) => {
        refusals.setAside('trade-number', reason, doubted.get(trade) ?? { frame: JSON.stringify(trade), receivedAt: clock.now() });
        refusals.fault(faults, 'schema', reason);
      },
    },
    options.leavesGaps ? options.market.lastTrade(instrument) : null,
    options.leavesGaps ? options.market.gapsOf(instrument) : [],
  );
  const end = () => {
    isEnded = true;
    callOff();
  };
  const book = before?.book ?? bookOf(parts, rule, faults);
  const intake: InstrumentIntake = {
    ...rule,
    trades,
    book,
    faults,
    file: before?.file ?? null,
    beganAt: before?.beganAt ?? null,
    doubted,
    end,
  };
  return intake;
}

/** Reads the history of the venue without its impossible trades. Null when it has none. */
function fetchOf(
  { options: { fetchTrades }, refusals, symbol }: InstrumentIntakeParts,
  rule: PriceRule,
  faults: FaultReports,
  isEnded: () => boolean,
) {
  if (!fetchTrades) return null;
  return async function* (tradeGap: TradeGap): AsyncGenerator<Trade[]> {
    for await (const page of refusals.plausible(fetchTrades(symbol, tradeGap), rule, faults)) {
      if (isEnded()) throw new Error('another read continues from the record');
      yield page;
    }
  };
}

function bookOf({ options, refusals, send, symbol }: InstrumentIntakeParts, rule: PriceRule, faults: FaultReports): BookSynchronizer {
  const { clock, fetchBook, requestBook } = options;
  return new BookSynchronizer({
    clock,
    deliver: (update: BookUpdate, whole) => send({ type: whole ? 'ReplaceBook' : 'UpdateBook', book: update }),
    fetch:
      fetchBook &&
      (async () => {
        const book = await fetchBook(symbol);
        const failure = bookProblem(book, rule);
        if (failure === null) return book;
        refusals.distrust(faults, failure, () => ({ frame: JSON.stringify(book), receivedAt: clock.now() }));
        throw new Error(failure);
      }),
    lost: (reason) => send({ type: 'LoseBook', reason, time: clock.now() }),
    onFailure: () => refusals.count('book-unavailable'),
    ask: () => requestBook?.(symbol),
  });
}

function replaceGapCandles(
  { gapCandles, refusals, send, symbol }: InstrumentIntakeParts,
  gap: Gap,
  rule: PriceRule,
  faults: FaultReports,
): void {
  gapCandles?.readLater(symbol, gap, (interval, candle) => {
    const isAligned = candle.time === openingOf(candle.time, interval);
    const failure = isAligned
      ? candleProblem(candle, rule)
      : `a candle of ${interval} that does not open with the interval: ${candle.time}`;
    if (failure !== null) refusals.fault(faults, 'schema', failure);
    else send({ type: 'RecordCandle', interval, candle, replacesIncomplete: true });
  });
}
