import { type Static, type TSchema, Type } from 'typebox';
import { AuditEntry } from './account.ts';
import { AccountSnapshot, AccountStatus, SnapshotProgress, TenantEvent } from './account-events.ts';
import type { Interval } from './interval.ts';
import { Candle, Reading, Trade } from './market.ts';
import { Alert, BookResource, ConsumerGroupStatus, EventStats, Instrument, QuoteResource, Source } from './resources.ts';
import type { ChannelKind, OWN_CHANNEL, PLAIN } from './stream.ts';
import { PlayerStatus, World, WorldHostStatus, WorldZoneStatus, ZoneView } from './world-resources.ts';

const { order: _rank, ...shownOfTrade } = Trade.properties;
const TradeEvent = Type.Object({ ...shownOfTrade, trace: Type.Optional(Type.String()) }, { $id: 'TradeEvent' });
const CandleEvent = Type.Object({ ...Candle.properties, closed: Type.Boolean(), version: Type.Integer() }, { $id: 'CandleEvent' });
export type TradeEvent = Static<typeof TradeEvent>;
export type CandleEvent = Static<typeof CandleEvent>;

/** Schema of the event data of each channel kind. */
export const PAYLOADS = {
  trades: TradeEvent,
  quotes: QuoteResource,
  book: BookResource,
  candles: CandleEvent,
  readings: Reading,
  tickers: Instrument,
  sources: Source,
  world: Type.Union([World, Type.Array(WorldZoneStatus), Type.Array(WorldHostStatus)]),
  zones: ZoneView,
  players: PlayerStatus,
  users: Type.Union([AccountStatus, SnapshotProgress, AccountSnapshot, Type.Record(Type.String(), Type.Unknown())]),
  tenants: Type.Union([AuditEntry, TenantEvent]),
  operations: Type.Union([EventStats, Type.Array(ConsumerGroupStatus), Type.Array(Alert)]),
} as const satisfies Record<ChannelKind, TSchema>;

/** Events of each channel kind, with the types of their data. */
export interface ChannelEvents {
  trades: { trade: TradeEvent };
  quotes: { quote: QuoteResource };
  book: { book: BookResource };
  candles: { candle: CandleEvent };
  readings: { reading: Reading & { readonly trace?: string } };
  tickers: { ticker: Instrument };
  sources: { source: Source };
  world: { world: World; zones: WorldZoneStatus[]; hosts: WorldHostStatus[] };
  zones: { zone: ZoneView };
  players: { player: PlayerStatus };
  users: {
    account: AccountStatus;
    'account.created': { readonly user: string; readonly tenant: string; readonly at: number };
    'snapshots.progressed': SnapshotProgress;
    'snapshots.generated': AccountSnapshot;
    'snapshots.failed': { readonly request: string; readonly reason: string };
  };
  tenants: { audited: AuditEntry; decided: TenantEvent };
  operations: { flow: EventStats; consumers: ConsumerGroupStatus[]; alerts: Alert[] };
}

/** Name of a channel. `user` is the channel of the signed-in user. */
export type ChannelName =
  | typeof OWN_CHANNEL
  | (typeof PLAIN)[number]
  | `${'trades' | 'quotes' | 'book' | 'readings'}:${string}`
  | `candles:${string}:${Interval}`
  | `${'zones' | 'players' | 'users' | 'tenants'}:${string}`;

/** Events of the channel with this name. */
export type EventsOf<Name extends ChannelName> = Name extends typeof OWN_CHANNEL
  ? ChannelEvents['users']
  : Name extends ChannelKind
    ? ChannelEvents[Name]
    : Name extends `${infer Kind extends ChannelKind}:${string}`
      ? ChannelEvents[Kind]
      : never;
