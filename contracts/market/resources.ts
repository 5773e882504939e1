import { type Static, Type } from 'typebox';
import { Decimal } from '../decimal.ts';
import { DateTime } from '../instant.ts';
import { HasMore, NextCursor } from '../page.ts';
import { Candle, Gap, Level, Trade } from './events.ts';
import { Freshness } from './freshness.ts';
import { InstrumentId } from './instrument.ts';
import { Interval } from './interval.ts';

const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const Instrument = Type.Object(
  {
    id: InstrumentId,
    source: Type.String(),
    symbol: Type.String({ description: 'Name of the instrument at the venue.' }),
    base: Type.String(),
    quote: Type.String(),
    simulated: Type.Boolean(),
    status: Freshness,
    reason: Nullable(Type.String({ description: 'Reason for the status `stale`. Null while live.' })),
    updatedAt: Nullable(DateTime('Time of the newest data. Null if there is none')),
    price: Nullable(Decimal),
    dayOpen: Nullable({ ...Decimal, description: 'First price of the UTC day.' }),
    dayHigh: Nullable({ ...Decimal, description: 'Highest price of the UTC day.' }),
    dayLow: Nullable({ ...Decimal, description: 'Lowest price of the UTC day.' }),
    dayVolume: { ...Decimal, description: 'Quantity traded in the UTC day.' },
    trades: Type.Integer({ description: 'Number of trades recorded.' }),
    spark: Type.Array(Type.Number(), { description: 'Closing prices of the newest 1-minute candles, oldest first.' }),
  },
  { $id: 'Instrument', description: 'An instrument with its newest price and the figures of the UTC day.' },
);
export type Instrument = Static<typeof Instrument>;

const frame = {
  instrument: InstrumentId,
  status: Freshness,
  updatedAt: Nullable(DateTime('Time of the newest data. Null if there is none')),
};

/** Columnar rows. Times are epoch ms. Prices and quantities of trades are decimal strings exactly as received. */
export type CandleRow = [time: number, open: number, high: number, low: number, close: number, volume: number];
export type TradeRow = [time: number, price: string, quantity: string, side: Trade['side'], id: string];
export type ReadingRow = [time: number, name: string, value: number | string];

export const CandleFrame = Type.Object(
  {
    ...frame,
    interval: Interval,
    columns: Type.Array(Type.String(), { examples: [['time', 'open', 'high', 'low', 'close', 'volume']] }),
    rows: Type.Unsafe<CandleRow[]>(Type.Array(Type.Array(Type.Number()))),
    meta: Type.Object({ closed: Type.Boolean({ description: 'False if a row is a candle that is still open; it is the newest row.' }) }),
    hasMore: HasMore,
    nextCursor: NextCursor,
  },
  { $id: 'CandleFrame', description: 'Candles as columnar rows, in the order of the request. `time` is the opening time, epoch ms.' },
);
export type CandleFrame = Static<typeof CandleFrame>;

export const TradeFrame = Type.Object(
  {
    ...frame,
    columns: Type.Array(Type.String(), { examples: [['time', 'price', 'quantity', 'side', 'id']] }),
    rows: Type.Unsafe<TradeRow[]>(Type.Array(Type.Array(Type.Union([Type.Number(), Type.String()])))),
    hasMore: HasMore,
    nextCursor: NextCursor,
  },
  {
    $id: 'TradeFrame',
    description:
      'Trades as columnar rows, in the order of the request. `time` is epoch ms. Prices and quantities are decimal strings exactly as received.',
  },
);
export type TradeFrame = Static<typeof TradeFrame>;

export const ReadingFrame = Type.Object(
  {
    ...frame,
    columns: Type.Array(Type.String()),
    rows: Type.Unsafe<ReadingRow[]>(Type.Array(Type.Array(Type.Union([Type.Number(), Type.String()])))),
    hasMore: HasMore,
    nextCursor: NextCursor,
  },
  { $id: 'ReadingFrame', description: 'Readings as columnar rows, in the order of the request. `time` is epoch ms.' },
);
export type ReadingFrame = Static<typeof ReadingFrame>;

const { time: _timeOfTrade, ...untimedTrade } = Trade.properties;
export const WithdrawnTrade = Type.Object(
  { ...untimedTrade, executedAt: DateTime('Time of the trade, by the clock of the venue') },
  { $id: 'WithdrawnTrade', description: 'A trade that a repair withdrew.' },
);
export type WithdrawnTrade = Static<typeof WithdrawnTrade>;

export const RepairedInstrument = Type.Object(
  {
    instrument: InstrumentId,
    cutoffAt: DateTime('Data after this time was withdrawn'),
    newestAt: Nullable(DateTime('Time of the newest remaining data. Null if there is none')),
    withdrawn: Type.Array(WithdrawnTrade, { description: 'Withdrawn trades, oldest first. Empty if there was nothing to repair.' }),
  },
  { $id: 'RepairedInstrument', description: 'Result of an instrument repair.' },
);
export type RepairedInstrument = Static<typeof RepairedInstrument>;

export const QuoteResource = Type.Object(
  { ...frame, bid: Decimal, bidQuantity: Decimal, ask: Decimal, askQuantity: Decimal },
  { $id: 'QuoteResource', description: 'The newest best bid and best ask.' },
);
export type QuoteResource = Static<typeof QuoteResource>;

export const BookResource = Type.Object(
  {
    ...frame,
    reason: Nullable(Type.String({ description: 'Reason for the status `stale`. Null while live.' })),
    synced: Type.Boolean({ description: 'True if the book is complete: a whole book was received and no update was lost since.' }),
    bids: Type.Array(Level, { description: 'Bids, best first.' }),
    asks: Type.Array(Level, { description: 'Asks, best first.' }),
    breaks: Type.Integer({ description: 'Number of book resyncs after a lost update.' }),
  },
  { $id: 'BookResource', description: 'The order book.' },
);
export type BookResource = Static<typeof BookResource>;

const { time: _opening, ...CandleFields } = Candle.properties;
const CandleValues = Type.Object(CandleFields, { $id: 'CandleValues', description: 'Open, high, low, close and volume of one interval.' });

const { from: _from, to: _to, ...untimedGap } = Gap.properties;
export const GapResource = Type.Object(
  {
    startedAt: DateTime('Time of the last trade before the gap'),
    endedAt: DateTime('Time of the first trade after the gap'),
    ...untimedGap,
  },
  { $id: 'GapResource', description: 'A range of missing trades that could not be filled.' },
);
export type GapResource = Static<typeof GapResource>;

export const QualityExample = Type.Object({
  kind: Type.String(),
  occurredAt: DateTime('Time of the event'),
  detail: Type.String(),
});
export type QualityExample = Static<typeof QualityExample>;

export const CandleDifference = Type.Object({
  interval: Interval,
  openedAt: DateTime('Opening time of the candle'),
  ours: Nullable(CandleValues),
  theirs: CandleValues,
  partial: Type.Boolean({ description: 'True if we did not receive the whole interval, so a difference is expected.' }),
});
export type CandleDifference = Static<typeof CandleDifference>;

export const Quality = Type.Object(
  {
    instrument: InstrumentId,
    counts: Type.Object({
      trades: Type.Integer(),
      duplicates: Type.Integer(),
      gaps: Type.Integer(),
      repaired: Type.Integer({ description: 'Gaps that were filled from the history of the venue.' }),
      late: Type.Integer({ description: 'Trades that corrected a closed candle.' }),
      lateBeyondWindow: Type.Integer({ description: 'Trades too late to correct their candle. They are recorded.' }),
      outOfOrder: Type.Integer(),
      outliers: Type.Integer(),
      clockSkew: Type.Integer(),
      quarantined: Type.Integer(),
      bookBreaks: Type.Integer(),
      candlesCompared: Type.Integer(),
      candlesDiffering: Type.Integer(),
    }),
    gaps: Type.Array(GapResource, { description: 'Newest gaps that could not be filled.' }),
    differences: Type.Array(CandleDifference, { description: 'Newest candles that differ from the candles of the venue.' }),
    examples: Type.Array(QualityExample, { description: 'Newest examples of the counted events.' }),
  },
  { $id: 'Quality', description: 'Data quality of an instrument.' },
);
export type Quality = Static<typeof Quality>;
