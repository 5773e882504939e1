import { type Static, Type } from 'typebox';
import type { ChannelContract } from '../module.ts';
import { Candle, Reading, Trade } from './events.ts';
import { Freshness } from './freshness.ts';
import { isInstrumentId } from './instrument.ts';
import { isInterval } from './interval.ts';
import { BookResource, Instrument, QuoteResource } from './resources.ts';

const { order: _order, ...tradeFields } = Trade.properties;
const ReadingEvent = Type.Object({ ...Reading.properties, trace: Type.Optional(Type.String()) }, { $id: 'ReadingEvent' });
const TradeEvent = Type.Object({ ...tradeFields, trace: Type.Optional(Type.String()) }, { $id: 'TradeEvent' });
const CandleEvent = Type.Object(
  { ...Candle.properties, closed: Type.Boolean(), version: Type.Integer(), status: Freshness },
  { $id: 'CandleEvent', description: 'A candle. When the `status` of its instrument changes, the newest candle is sent again.' },
);
export type TradeEvent = Static<typeof TradeEvent>;
export type CandleEvent = Static<typeof CandleEvent>;

const parameters = { instrument: isInstrumentId };

export const MARKET_CHANNELS = {
  trades: {
    name: 'trades:{instrument}',
    delivery: 'lossless',
    access: 'market:read',
    carries: 'every trade, as `TradeEvent`',
    events: { trade: TradeEvent },
    parameters,
  },
  quotes: {
    name: 'quotes:{instrument}',
    delivery: 'conflated',
    access: 'market:read',
    carries: 'best bid and ask, as `QuoteResource`',
    events: { quote: QuoteResource },
    parameters,
  },
  book: {
    name: 'book:{instrument}',
    delivery: 'conflated',
    access: 'market:read',
    carries: 'top levels of the order book, as `BookResource`',
    events: { book: BookResource },
    parameters,
  },
  candles: {
    name: 'candles:{instrument}:{interval}',
    delivery: 'conflated',
    access: 'market:read',
    carries: 'open candles, closed candles and corrections, as `CandleEvent`',
    events: { candle: CandleEvent },
    parameters: { ...parameters, interval: isInterval },
  },
  readings: {
    name: 'readings:{instrument}',
    delivery: 'lossless',
    access: 'market:read',
    carries: 'every reading, as `ReadingEvent`',
    events: { reading: ReadingEvent },
    parameters,
  },
  tickers: {
    name: 'tickers',
    delivery: 'conflated',
    access: 'market:read',
    carries: 'newest price and status of each instrument, as `Instrument`',
    events: { ticker: Instrument },
  },
} as const satisfies Record<string, ChannelContract>;
