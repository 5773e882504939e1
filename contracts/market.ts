import { type Static, Type } from 'typebox';
import { Decimal } from './decimal.ts';
import type { Interval } from './interval.ts';

const EpochMs = Type.Number({ description: 'Epoch milliseconds, the venue’s clock.', examples: [1633998523963] });

export const Side = Type.Unsafe<'buy' | 'sell' | 'unknown'>(
  Type.Enum(['buy', 'sell', 'unknown'], { description: 'The side of the taker: who crossed the spread.' }),
);
export type Side = Static<typeof Side>;

export const Trade = Type.Object(
  {
    id: Type.String({ maxLength: 128, description: 'The venue’s own id; where it gives none, one made of the trade’s fields.' }),
    order: Type.Number({
      description:
        'Place of the trade among those of the same time (a safe integer): the venue’s sequence or id where these rise, else 0; then arrival decides.',
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
  { $id: 'Quote', description: 'The best bid and the best ask.' },
);
export type Quote = Static<typeof Quote>;

/** `[price, quantity]`; a quantity of zero removes the level. */
export const Level = Type.Unsafe<[Decimal, Decimal]>(
  Type.Array(Decimal, { minItems: 2, maxItems: 2, description: '[price, quantity]', examples: [['0.35280000', '58.0']] }),
);
export type Level = Static<typeof Level>;

/**
 * How a venue lets its readers notice a lost book update.
 * `first..last` (Binance): the update covers these ids and must reach the one after the last applied;
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
    /** Levels beyond this depth are cut after every update, as the venue’s own book does. */
    depth: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { $id: 'BookUpdate', description: 'Changes to an order book, or the whole of it.' },
);
export type BookUpdate = Static<typeof BookUpdate>;

export const Candle = Type.Object(
  {
    time: Type.Number({ description: 'Opening time, epoch ms.' }),
    open: Type.Number(),
    high: Type.Number(),
    low: Type.Number(),
    close: Type.Number(),
    volume: Type.Number({ description: 'In units of the base currency.' }),
    trades: Type.Integer({ minimum: 0, description: 'How many trades it holds; 0 where the venue did not say.' }),
  },
  { $id: 'Candle', description: 'Open, high, low, close and volume of one interval.' },
);
export type Candle = Static<typeof Candle>;

export const Reading = Type.Object(
  { time: EpochMs, name: Type.String({ maxLength: 128 }), value: Type.Number() },
  { $id: 'Reading', description: 'One named value of a feed that is no market.' },
);
export type Reading = Static<typeof Reading>;

/** Where a stretch of an instrument’s trades is missing: bounds are the last trade before it and the first one after. */
export const Gap = Type.Object(
  {
    from: Type.Number({ description: 'Time of the last trade before the hole, epoch ms.' }),
    to: Type.Number({ description: 'Time of the first trade after it, epoch ms.' }),
    afterId: Type.String({ description: 'Id of the last trade before the hole.' }),
    beforeId: Type.String({ description: 'Id of the first trade after it.' }),
    missing: Type.Optional(Type.Integer({ description: 'How many trades are missing, where the venue numbers them.' })),
    reason: Type.String({ description: 'Why it could not be filled.' }),
  },
  { $id: 'Gap', description: 'A hole in the record that could not be filled.' },
);
export type Gap = Static<typeof Gap>;

/** Trades that a venue’s history has given, for a hole between two times (epoch ms). */
export interface GapRepair {
  readonly from: number;
  readonly to: number;
  /** How many were missing; 0 when the venue’s history says at last that none was. */
  readonly trades: number;
  /** The gap that was filled; null when the hole was filled before it was one. An older record does not say: every gap between those times was meant. */
  readonly gap?: Pick<Gap, 'afterId' | 'beforeId'> | null;
}

export type FeedFault = 'schema' | 'out-of-order' | 'clock-skew';

/** `too-late`: it is older than those whose ids are remembered, so it cannot be told from a repeat. */
export type TradeRefusal = 'duplicate' | 'schema' | 'too-late';

/** Where something stands in a file that is imported: the `at`th of its instrument. What stands before the newest that was taken has been taken. */
export interface FileMark {
  readonly file: string;
  readonly at: number;
}

/** A candle that is open again after an instrument was mended: what the stored trades and the venue’s candles make of it. */
export interface ReopenedCandle {
  readonly interval: Interval;
  readonly candle: Candle;
  readonly origin: CandleOrigin;
  /** Time and order of the trades that open and close it. */
  readonly firstTime: number;
  readonly firstOrder: number;
  readonly lastTime: number;
  readonly lastOrder: number;
  /** Most decimals of any quantity in it. */
  readonly decimals: number;
  /** Of a candle that is the venue’s and over: its stored version. 0 of every other one. */
  readonly version: number;
}

/**
 * What is withdrawn of an instrument whose event time ran ahead, and what it is without it: everything after `after` (epoch ms) is gone, and the newest
 * data is of `newestAt`. `candles` are those that hold `newestAt`, one of an interval at most.
 */
export interface InstrumentMending {
  readonly after: number;
  readonly newestAt: number;
  readonly reason: string;
  readonly withdrawn: readonly Trade[];
  readonly last: Trade | null;
  readonly candles: readonly ReopenedCandle[];
}

/** Everything an instrument zone may be asked to do. */
export type InstrumentCommand =
  /** `negativePrices`: its prices may be zero or below. */
  | { type: 'ListInstrument'; source: string; symbol: string; simulated: boolean; negativePrices?: boolean }
  | { type: 'RecordTrade'; trade: Trade; numbered: boolean; backfilled?: boolean; from?: FileMark }
  /** `untimed`: the venue gives its quotes no time, so theirs is ours and may close no candle. */
  | { type: 'ObserveQuote'; quote: Quote; untimed?: boolean }
  | { type: 'ReplaceBook'; book: BookUpdate }
  | { type: 'UpdateBook'; book: BookUpdate }
  /** The book that there is cannot be trusted until a whole one comes. */
  | { type: 'LoseBook'; reason: string; time: number }
  | { type: 'ObserveVenueCandle'; interval: Interval; candle: Candle; closed: boolean }
  /** `forming`: the venue may still change it. `mends`: it takes the place of what a gap has spoilt. */
  | { type: 'RecordCandle'; interval: Interval; candle: Candle; forming?: boolean; mends?: boolean; from?: FileMark }
  | { type: 'RecordReading'; reading: Reading; from?: FileMark }
  | { type: 'RecordGap'; gap: Gap }
  /** `left`: gaps that are left of the one that was filled. */
  | ({ type: 'RecordRepair'; left: readonly Gap[] } & GapRepair)
  | { type: 'RecordFault'; fault: FeedFault; detail: string; time: number; count: number }
  /** Decided outside of what the store has of the instrument; see `InstrumentMended`. */
  | ({ type: 'MendInstrument' } & InstrumentMending)
  | { type: 'MarkStale'; reason: string; time: number }
  | { type: 'MarkLive'; time: number };

/**
 * Everything that can have happened in an instrument zone. `old`: the candle is not in memory, and the store numbers its version. `PastCandlesChanged`:
 * the closed candles of these intervals that hold `time` (epoch ms) have changed, and memory has not all that they are made of: the store makes them anew.
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
  | ({ type: 'InstrumentMended' } & InstrumentMending)
  | { type: 'WentStale'; reason: string; time: number }
  | { type: 'WentLive'; time: number };

/** Whether a candle was made here from trades, is the venue’s own, or is made of smaller ones of which some are the venue’s. */
export type CandleOrigin = 'trades' | 'venue' | 'mixed';
