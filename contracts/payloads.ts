import { type TSchema, Type } from 'typebox';
import { AccountSnapshot, AccountStand, SnapshotProgress } from './account-events.ts';
import { Candle, Quote, Reading, Trade } from './market.ts';
import { Alert, BookResource, ConsumerStand, FlowStand, Instrument, Source } from './resources.ts';
import type { ChannelKind } from './stream.ts';
import { PlayerStand, World, WorldHostStand, ZoneStand, ZoneView } from './world-resources.ts';

/** What each channel carries in `data`. */
export const PAYLOADS: Record<ChannelKind, TSchema> = {
  trades: Type.Object({ ...Trade.properties, trace: Type.Optional(Type.String()) }, { $id: 'TradeEvent' }),
  quotes: Quote,
  book: BookResource,
  candles: Type.Object({ ...Candle.properties, closed: Type.Boolean(), version: Type.Integer() }, { $id: 'CandleEvent' }),
  readings: Reading,
  tickers: Instrument,
  sources: Source,
  world: Type.Union([World, Type.Array(ZoneStand), Type.Array(WorldHostStand)]),
  zones: ZoneView,
  players: PlayerStand,
  users: Type.Union([AccountStand, SnapshotProgress, AccountSnapshot, Type.Record(Type.String(), Type.Unknown())]),
  operations: Type.Union([FlowStand, Type.Array(ConsumerStand), Type.Array(Alert)]),
};
