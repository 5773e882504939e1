import { type Static, Type } from 'typebox';
import { isTenantId } from './account.ts';
import { isUserId } from './account-events.ts';
import { type InstrumentId, isInstrumentId } from './instrument.ts';
import { type Interval, isInterval } from './interval.ts';
import { isPlayerId, isZoneId, type PlayerId, type ZoneId } from './world.ts';

/**
 * Every live channel. `lossless` channels deliver each event or say `gap`; on `conflated` ones a slow reader gets the
 * newest event of each key.
 */
export const CHANNELS = {
  trades: { name: 'trades:{instrument}', delivery: 'lossless', access: 'market:read', carries: 'every trade, as `TradeEvent`' },
  quotes: { name: 'quotes:{instrument}', delivery: 'conflated', access: 'market:read', carries: 'best bid and ask, as `QuoteEvent`' },
  book: { name: 'book:{instrument}', delivery: 'conflated', access: 'market:read', carries: 'the top of the order book, as `BookEvent`' },
  candles: {
    name: 'candles:{instrument}:{interval}',
    delivery: 'conflated',
    access: 'market:read',
    carries: 'the open candle, closings and corrections, as `CandleEvent`',
  },
  readings: { name: 'readings:{instrument}', delivery: 'lossless', access: 'market:read', carries: 'named readings, as `ReadingEvent`' },
  tickers: {
    name: 'tickers',
    delivery: 'conflated',
    access: 'market:read',
    carries: 'newest price and status of every instrument, as `TickerEvent`',
  },
  sources: {
    name: 'sources',
    delivery: 'conflated',
    access: 'platform:read',
    carries: 'state and statistics of every source, as `Source`',
  },
  world: {
    name: 'world',
    delivery: 'conflated',
    access: 'platform:read',
    carries: 'once a second the world (`World`), its zones (a list of `WorldZoneStatus`) and its hosts (a list of `WorldHostStatus`)',
  },
  zones: {
    name: 'zones:{zone}',
    delivery: 'conflated',
    access: 'platform:read',
    carries: 'all that can be seen in a zone, five times a second, as `ZoneView`',
  },
  players: {
    name: 'players:{player}',
    delivery: 'conflated',
    access: 'platform:read',
    carries: 'a player with all its components, five times a second, as `PlayerStatus`',
  },
  users: {
    name: 'users:{user}',
    delivery: 'lossless',
    access: 'account:read',
    carries: 'what concerns one’s own account, by the names of `UserEvent`; `user` stands for one’s own, and nobody sees another’s',
  },
  tenants: {
    name: 'tenants:{tenant}',
    delivery: 'lossless',
    access: 'tenant:read',
    carries:
      'what happens in one’s tenant: each line of its audit log (`audited`, an `AuditEntry`), each event of its users’ accounts (`decided`, a `TenantEvent`)',
  },
  operations: {
    name: 'operations',
    delivery: 'conflated',
    access: 'platform:read',
    carries: 'once a second what flows (`EventStats`), who reads (a list of `ConsumerGroupStatus`) and what is wrong (a list of `Alert`)',
  },
} as const;
export type ChannelKind = keyof typeof CHANNELS;

export type Channel =
  | { kind: 'trades' | 'quotes' | 'book' | 'readings'; instrument: InstrumentId }
  | { kind: 'candles'; instrument: InstrumentId; interval: Interval }
  | { kind: 'zones'; zone: ZoneId }
  | { kind: 'players'; player: PlayerId }
  | { kind: 'users'; user: string }
  | { kind: 'tenants'; tenant: string }
  | { kind: (typeof PLAIN)[number] };

/** Channels that are one of their kind. */
export const PLAIN = ['tickers', 'sources', 'world', 'operations'] as const;

/** The channel that `user` stands for. */
export const OWN_CHANNEL = 'user' as const;

export function parseChannel(name: string): Channel | undefined {
  const plain = PLAIN.find((kind) => kind === name);
  if (plain) return { kind: plain };
  const colon = name.indexOf(':');
  const kind = name.slice(0, colon);
  const rest = name.slice(colon + 1);
  if (kind === 'trades' || kind === 'quotes' || kind === 'book' || kind === 'readings')
    return isInstrumentId(rest) ? { kind, instrument: rest } : undefined;
  if (kind === 'zones') return isZoneId(rest) ? { kind, zone: rest } : undefined;
  if (kind === 'users') return isUserId(rest) ? { kind, user: rest } : undefined;
  if (kind === 'tenants') return isTenantId(rest) ? { kind, tenant: rest } : undefined;
  if (kind === 'players') return isPlayerId(rest) ? { kind, player: rest } : undefined;
  if (kind !== 'candles') return undefined;
  const last = rest.lastIndexOf(':');
  const instrument = rest.slice(0, last);
  const interval = rest.slice(last + 1);
  return isInstrumentId(instrument) && isInterval(interval) ? { kind, instrument, interval } : undefined;
}

/** `epoch-offset`: where a reader stands in the hub’s history. Valid for every channel of that hub. */
export const Position = Type.String({
  pattern: '^[0-9a-z]{1,16}-[0-9]{1,16}$',
  description: 'A place in the live history: epoch, a hyphen, offset.',
  examples: ['m3k9x2-4711'],
});

/** What a stream says when it cannot continue where the reader left off. */
export const GapNotice = Type.Object(
  {
    channel: Type.String(),
    from: Type.String({ description: 'The position asked for.' }),
    to: Type.String({ description: 'The position from which events follow.' }),
    reason: Type.Union([Type.Literal('evicted'), Type.Literal('epoch-changed'), Type.Literal('lost')], {
      description: '`lost`: events of another server may not have arrived, while the two could not reach each other.',
    }),
  },
  { $id: 'GapNotice', description: 'Events between the two positions were missed; read them from the API.' },
);
export type GapNotice = Static<typeof GapNotice>;

export const SocketRequest = Type.Union(
  [
    Type.Object({
      op: Type.Literal('subscribe'),
      id: Type.Union([Type.Integer(), Type.String({ maxLength: 64 })]),
      channels: Type.Array(Type.String({ maxLength: 128 }), { minItems: 1, maxItems: 256 }),
      from: Type.Optional(Type.Record(Type.String(), Position)),
    }),
    Type.Object({
      op: Type.Literal('unsubscribe'),
      id: Type.Union([Type.Integer(), Type.String({ maxLength: 64 })]),
      channels: Type.Array(Type.String({ maxLength: 128 }), { minItems: 1, maxItems: 256 }),
    }),
    Type.Object({ op: Type.Literal('ping'), id: Type.Union([Type.Integer(), Type.String({ maxLength: 64 })]) }),
    Type.Object({
      op: Type.Literal('authenticate'),
      id: Type.Union([Type.Integer(), Type.String({ maxLength: 64 })]),
      token: Type.String({ minLength: 1, maxLength: 4_096, description: 'An access token or an API key.' }),
    }),
  ],
  { $id: 'SocketRequest', description: 'What a client may send over the WebSocket: 50 a second, 1,280 at once.' },
);
export type SocketRequest = Static<typeof SocketRequest>;

export const SocketReply = Type.Object(
  {
    id: Type.Union([Type.Integer(), Type.String(), Type.Null()]),
    ok: Type.Boolean(),
    op: Type.Optional(Type.String()),
    position: Type.Optional(Position),
    error: Type.Optional(Type.Object({ code: Type.String(), detail: Type.String(), remedy: Type.String() })),
  },
  { $id: 'SocketReply', description: 'The answer to one request, with the request’s id.' },
);
export type SocketReply = Static<typeof SocketReply>;

export const SocketEvent = Type.Object(
  { channel: Type.String(), position: Position, event: Type.String(), data: Type.Unknown() },
  { $id: 'SocketEvent', description: 'One event of a channel.' },
);
export type SocketEvent = Static<typeof SocketEvent>;
