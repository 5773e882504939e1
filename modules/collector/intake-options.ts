import type { BookUpdate, InstrumentId, InstrumentZones, Trade } from '@millrace/contracts';
import type { CommandQueueOptions } from './command-queue.ts';
import type { Matched } from './matching.ts';
import type { CandleHistory, GetJson, Protocol, TradeGap } from './source.ts';

/** What an intake gets from its source and its configuration. */
export interface IntakeOptions extends CommandQueueOptions {
  readonly market: InstrumentZones;
  readonly protocol: Protocol;
  readonly checkClock: boolean;
  readonly leavesGaps: boolean;
  readonly instruments: ReadonlyMap<string, InstrumentId>;
  /** Instruments whose prices may be zero or negative. */
  readonly negativePrices?: ReadonlySet<InstrumentId>;
  /** Accepts symbols that are not in `instruments`. Null when there is no such rule. */
  readonly match?: ((symbol: string) => Matched) | null;
  readonly fetchTrades: ((symbol: string, tradeGap: TradeGap) => AsyncIterable<Trade[]>) | null;
  /** See `History`. */
  readonly disorderMs?: number;
  readonly fetchCandles: CandleHistory | null;
  readonly get: GetJson;
  readonly fetchBook: ((symbol: string) => Promise<BookUpdate>) | null;
  /** Requests the whole book of a symbol from the stream of the venue. Called at most every 5 s for a symbol. */
  readonly requestBook?: (symbol: string) => void;
}
