import { type Static, Type } from 'typebox';
import { Decimal } from '../decimal.ts';
import type { Interval } from './interval.ts';

const EpochMs = Type.Number({ description: 'Time of the data, epoch ms, by the clock of the venue.', examples: [1633998523963] });

export const Side = Type.Unsafe<'buy' | 'sell' | 'unknown'>(Type.Enum(['buy', 'sell', 'unknown'], { description: 'Side of the taker.' }));
export type Side = Static<typeof Side>;

export const Trade = Type.Object(
  {
    id: Type.String({
      maxLength: 128,
      description: 'Id of the trade at the venue. If the venue gives none, an id derived from the fields.',
    }),
    order: Type.Number({
      description:
        'Rank among trades of the same time, a safe integer: ascending sequence or id of the venue. 0 if there is none: order of arrival.',
    }),
    time: EpochMs,
    price: Decimal,
    quantity: Decimal,
    side: Side,
  },
  { $id: 'Trade', description: 'One execution at a venue.' },
);
export type Trade = Static<typeof Trade>;

export const Quote = Type.Object(
  { time: EpochMs, bid: Decimal, bidQuantity: Decimal, ask: Decimal, askQuantity: Decimal },
  { $id: 'Quote', description: 'Best bid and best ask with their quantities.' },
);
export type Quote = Static<typeof Quote>;

/** `[price, quantity]`. A quantity of 0 removes the level. */
export const Level = Type.Unsafe<[Decimal, Decimal]>(
  Type.Array(Decimal, { minItems: 2, maxItems: 2, description: '[price, quantity]', examples: [['0.35280000', '58.0']] }),
);
export type Level = Static<typeof Level>;

/**
 * Fields by which a lost book update is detected.
 * `first..last` (Binance): the update covers these ids, which must include the one after the last applied;
 * `previous` (Binance futures): must equal the `last` applied before; `checksum` (Kraken): CRC-32 over the top ten levels.
 */
export const BookContinuity = Type.Object({
  first: Type.Optional(Type.Number()),
  last: Type.Optional(Type.Number()),
  previous: Type.Optional(Type.Number()),
  checksum: Type.Optional(Type.Number()),
});
export type BookContinuity = Static<typeof BookContinuity>;

export const BookUpdate = Type.Object(
  {
    time: EpochMs,
    bids: Type.Array(Level),
    asks: Type.Array(Level),
    continuity: Type.Optional(BookContinuity),
    /** Maximum number of levels per side. Levels beyond it are removed after each update, as in the book of the venue. */
    depth: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { $id: 'BookUpdate', description: 'Changes of an order book, or the whole book.' },
);
export type BookUpdate = Static<typeof BookUpdate>;

export const Candle = Type.Object(
  {
    time: Type.Number({ description: 'Opening time, epoch ms.' }),
    open: Type.Number(),
    high: Type.Number(),
    low: Type.Number(),
    close: Type.Number(),
    volume: Type.Number({ description: 'Traded quantity in the base currency.' }),
    trades: Type.Integer({ minimum: 0, description: 'Number of trades. 0 if the venue does not report it.' }),
  },
  { $id: 'Candle', description: 'Open, high, low, close and volume of one interval.' },
);
export type Candle = Static<typeof Candle>;

export const Reading = Type.Object(
  { time: EpochMs, name: Type.String({ maxLength: 128 }), value: Type.Number() },
  { $id: 'Reading', description: 'One named value of a source that is not a market.' },
);
export type Reading = Static<typeof Reading>;

/** A missing range of trades of an instrument, bounded by the last trade before it and the first trade after it. */
export const Gap = Type.Object(
  {
    from: Type.Number({ description: 'Time of the last trade before the gap, epoch ms.' }),
    to: Type.Number({ description: 'Time of the first trade after the gap, epoch ms.' }),
    afterId: Type.String({ description: 'Id of the last trade before the gap.' }),
    beforeId: Type.String({ description: 'Id of the first trade after the gap.' }),
    missing: Type.Optional(Type.Integer({ description: 'Number of missing trades. Omitted if the venue does not number its trades.' })),
    reason: Type.String({ description: 'Reason why it could not be filled.' }),
  },
  { $id: 'Gap', description: 'A range of missing trades that could not be filled.' },
);
export type Gap = Static<typeof Gap>;

/** Trades from the history of a venue that fill a gap between two times (epoch ms). */
export interface GapRepair {
  readonly from: number;
  readonly to: number;
  /** Number of trades that were missing. 0 if the history of the venue shows that none was. */
  readonly trades: number;
  /**
   * The recorded gap that was filled. Null if it was filled before it was recorded. Missing in old records: all gaps between
   * those times were filled.
   */
  readonly gap?: Pick<Gap, 'afterId' | 'beforeId'> | null;
}

export type FeedFault = 'schema' | 'out-of-order' | 'clock-skew';

/** `too-late`: the trade is older than the dedup window, so a duplicate could not be detected. */
export type TradeRefusal = 'duplicate' | 'schema' | 'too-late';

/** Position in an imported file: entry number `at` of its instrument. All entries before the newest imported one are imported. */
export interface FileMark {
  readonly file: string;
  readonly at: number;
}

/** A candle that is open again after an instrument repair, computed from the stored trades and the venue candles. */
export interface ReopenedCandle {
  readonly interval: Interval;
  readonly candle: Candle;
  readonly origin: CandleOrigin;
  /** Time and order of the first and last trade of the candle. */
  readonly firstTime: number;
  readonly firstOrder: number;
  readonly lastTime: number;
  readonly lastOrder: number;
  /** Maximum number of decimals of its quantities. */
  readonly decimals: number;
  /** Stored version of a closed venue candle. 0 for all others. */
  readonly version: number;
}

/**
 * Repair of an instrument whose event time is ahead of the clock. All data after `after` (epoch ms) is withdrawn. `newestAt` is
 * the time of the newest remaining data. `candles` are the candles that contain `newestAt`, at most one per interval.
 */
export interface InstrumentRepair {
  readonly after: number;
  readonly newestAt: number;
  readonly reason: string;
  readonly withdrawn: readonly Trade[];
  readonly last: Trade | null;
  readonly candles: readonly ReopenedCandle[];
}

/** All commands of an instrument zone. */
export type InstrumentCommand =
  /** `negativePrices`: prices may be zero or negative. */
  | { type: 'ListInstrument'; source: string; symbol: string; simulated: boolean; negativePrices?: boolean }
  | { type: 'RecordTrade'; trade: Trade; numbered: boolean; backfilled?: boolean; from?: FileMark }
  /** `untimed`: the venue gives no quote times. The time is that of our clock and must not close a candle. */
  | { type: 'ObserveQuote'; quote: Quote; untimed?: boolean }
  | { type: 'ReplaceBook'; book: BookUpdate }
  | { type: 'UpdateBook'; book: BookUpdate }
  /** The book is not valid until a whole book arrives. */
  | { type: 'LoseBook'; reason: string; time: number }
  | { type: 'ObserveVenueCandle'; interval: Interval; candle: Candle; closed: boolean }
  /** `forming`: the venue may still change it. `replacesIncomplete`: it replaces a candle that a gap made incomplete. */
  | { type: 'RecordCandle'; interval: Interval; candle: Candle; forming?: boolean; replacesIncomplete?: boolean; from?: FileMark }
  | { type: 'RecordReading'; reading: Reading; from?: FileMark }
  | { type: 'RecordGap'; gap: Gap }
  /** `left`: parts of the filled gap that are still missing. */
  | ({ type: 'RecordRepair'; left: readonly Gap[] } & GapRepair)
  | { type: 'RecordFault'; fault: FeedFault; detail: string; time: number; count: number }
  /** Computed outside the zone from the stored data of the instrument; see `InstrumentMended`. */
  | ({ type: 'RepairInstrument' } & InstrumentRepair)
  | { type: 'MarkStale'; reason: string; time: number }
  | { type: 'MarkLive'; time: number };

/**
 * All events of an instrument zone. `old`: the candle is not in memory, and the series store assigns its version.
 * `PastCandlesChanged`: the closed candles of these intervals that contain `time` (epoch ms) changed. Memory does not have all
 * their trades, so the series store recomputes them.
 */
export type InstrumentEvent =
  | { type: 'InstrumentListed'; source: string; symbol: string; simulated: boolean; negativePrices?: true }
  | {
      type: 'TradeRecorded';
      trade: Trade;
      numbered: boolean;
      late?: 'corrected' | 'beyond-window';
      outlier?: true;
      backfilled?: true;
      from?: FileMark;
    }
  | { type: 'TradeRefused'; trade: Trade; reason: TradeRefusal; from?: FileMark }
  | { type: 'CandleRecorded'; interval: Interval; candle: Candle; from?: FileMark }
  | { type: 'CandleClosed'; interval: Interval; candle: Candle; origin: CandleOrigin; from?: FileMark; old?: true }
  | {
      type: 'CandleCorrected';
      interval: Interval;
      candle: Candle;
      version: number;
      origin: CandleOrigin;
      old?: true;
    }
  | { type: 'PastCandlesChanged'; time: number; intervals: readonly Interval[] }
  | {
      type: 'VenueCandleCompared';
      interval: Interval;
      time: number;
      ours: Candle | null;
      theirs: Candle;
      agrees: boolean;
      partial: boolean;
    }
  | { type: 'QuoteChanged'; quote: Quote }
  | { type: 'BookReplaced'; book: BookUpdate }
  | { type: 'BookUpdated'; book: BookUpdate }
  | { type: 'BookBroken'; reason: string; time: number }
  | { type: 'BookLost'; reason: string; time: number }
  | { type: 'ReadingRecorded'; reading: Reading; from?: FileMark }
  | { type: 'GapRecorded'; gap: Gap }
  | ({ type: 'GapRepaired' } & GapRepair)
  | { type: 'FeedFaulted'; fault: FeedFault; detail: string; time: number; count: number }
  /** A repair of the instrument. The old name stays, because existing logs contain it and several consumers read it. */
  | ({ type: 'InstrumentMended' } & InstrumentRepair)
  | { type: 'WentStale'; reason: string; time: number }
  | { type: 'WentLive'; time: number };

/** Origin of a candle: computed from trades, from the venue, or from smaller candles of which some are from the venue. */
export type CandleOrigin = 'trades' | 'venue' | 'mixed';
