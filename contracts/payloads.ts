import { type Static, type TSchema, Type } from 'typebox';
import { AuditEntry } from './account.ts';
import { AccountCreatedNotice, AccountSnapshot, AccountStatus, SnapshotFailure, SnapshotProgress, TenantEvent } from './account-events.ts';
import type { Wire } from './instant.ts';
import type { Interval } from './interval.ts';
import { Candle, Reading, Trade } from './market.ts';
import { Alert, BookResource, ConsumerGroupStatus, EventStats, Instrument, QuoteResource, Source } from './resources.ts';
import type { ChannelKind, OWN_CHANNEL, PLAIN } from './stream.ts';
import { type Conversion, toWire } from './wire.ts';
import { PlayerStatus, World, WorldHostStatus, WorldZoneStatus, ZoneView } from './world-resources.ts';

const { order: _rank, ...shownOfTrade } = Trade.properties;
const ReadingEvent = Type.Object({ ...Reading.properties, trace: Type.Optional(Type.String()) }, { $id: 'ReadingEvent' });
const TradeEvent = Type.Object({ ...shownOfTrade, trace: Type.Optional(Type.String()) }, { $id: 'TradeEvent' });
const CandleEvent = Type.Object({ ...Candle.properties, closed: Type.Boolean(), version: Type.Integer() }, { $id: 'CandleEvent' });
export type TradeEvent = Static<typeof TradeEvent>;
export type CandleEvent = Static<typeof CandleEvent>;

/** Schema of the data of each event, by channel kind and event name. Resources look as in the HTTP API. */
export const EVENT_SCHEMAS = {
  trades: { trade: TradeEvent },
  quotes: { quote: QuoteResource },
  book: { book: BookResource },
  candles: { candle: CandleEvent },
  readings: { reading: ReadingEvent },
  tickers: { ticker: Instrument },
  sources: { source: Source },
  world: { world: World, zones: Type.Array(WorldZoneStatus), hosts: Type.Array(WorldHostStatus) },
  zones: { zone: ZoneView },
  players: { player: PlayerStatus },
  users: {
    account: AccountStatus,
    'account.created': AccountCreatedNotice,
    'snapshots.progressed': SnapshotProgress,
    'snapshots.generated': AccountSnapshot,
    'snapshots.failed': SnapshotFailure,
  },
  tenants: { audited: AuditEntry, decided: TenantEvent },
  operations: { flow: EventStats, consumers: Type.Array(ConsumerGroupStatus), alerts: Type.Array(Alert) },
} as const satisfies Record<ChannelKind, Readonly<Record<string, TSchema>>>;

/** Schema of the event data of each channel kind. */
export const PAYLOADS = Object.fromEntries(
  Object.entries(EVENT_SCHEMAS).map(([kind, events]) => {
    const [first, ...others] = Object.values(events as Record<string, TSchema>) as [TSchema, ...TSchema[]];
    return [kind, others.length === 0 ? first : Type.Union([first, ...others])];
  }),
) as Record<ChannelKind, TSchema>;

const CONVERSIONS: ReadonlyMap<string, ReadonlyMap<string, Conversion>> = new Map(
  Object.entries(EVENT_SCHEMAS).map(([kind, events]) => [
    kind,
    new Map(Object.entries(events as Record<string, TSchema>).map(([event, schema]) => [event, toWire(schema)])),
  ]),
);

/** The data of an event as it is sent: times of resources are RFC 3339 strings. @param channel its name, such as `trades:binance:BTC-USDT` */
export function eventToWire(channel: string, event: string, data: unknown): unknown {
  const colon = channel.indexOf(':');
  const conversion = CONVERSIONS.get(colon === -1 ? channel : channel.slice(0, colon))?.get(event);
  return conversion ? conversion(data) : data;
}

/** Events of each channel kind, with the types of their data as clients receive them. */
export type ChannelEvents = {
  readonly [Kind in ChannelKind]: {
    readonly [Event in keyof (typeof EVENT_SCHEMAS)[Kind]]: Wire<DataOf<(typeof EVENT_SCHEMAS)[Kind][Event]>>;
  };
};
type DataOf<Schema> = Schema extends TSchema ? Static<Schema> : never;

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
