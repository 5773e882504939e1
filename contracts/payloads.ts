import { type Static, type TSchema, Type } from 'typebox';
import { AuditLine } from './account.ts';
import { AccountSnapshot, AccountStand, SnapshotProgress, TenantEvent } from './account-events.ts';
import { Candle, Reading, Trade } from './market.ts';
import { Alert, BookResource, ConsumerStand, FlowStand, Instrument, QuoteResource, Source } from './resources.ts';
import type { ChannelKind } from './stream.ts';
import { PlayerStand, World, WorldHostStand, ZoneStand, ZoneView } from './world-resources.ts';

const { order: _rank, ...shownOfTrade } = Trade.properties;
const TradeEvent = Type.Object({ ...shownOfTrade, trace: Type.Optional(Type.String()) }, { $id: 'TradeEvent' });
const CandleEvent = Type.Object({ ...Candle.properties, closed: Type.Boolean(), version: Type.Integer() }, { $id: 'CandleEvent' });
export type TradeEvent = Static<typeof TradeEvent>;
export type CandleEvent = Static<typeof CandleEvent>;

/** What each channel carries in `data`. */
export const PAYLOADS = {
  trades: TradeEvent,
  quotes: QuoteResource,
  book: BookResource,
  candles: CandleEvent,
  readings: Reading,
  tickers: Instrument,
  sources: Source,
  world: Type.Union([World, Type.Array(ZoneStand), Type.Array(WorldHostStand)]),
  zones: ZoneView,
  players: PlayerStand,
  users: Type.Union([AccountStand, SnapshotProgress, AccountSnapshot, Type.Record(Type.String(), Type.Unknown())]),
  tenants: Type.Union([AuditLine, TenantEvent]),
  operations: Type.Union([FlowStand, Type.Array(ConsumerStand), Type.Array(Alert)]),
} as const satisfies Record<ChannelKind, TSchema>;

type Payload<K extends ChannelKind> = Static<(typeof PAYLOADS)[K]>;

/** What a channel of that name carries; anything where the name is not known before. */
export type ChannelData<Name extends string> = Name extends 'user'
  ? Payload<'users'>
  : Name extends ChannelKind
    ? Payload<Name>
    : Name extends `${infer Kind extends ChannelKind}:${string}`
      ? Payload<Kind>
      : unknown;
