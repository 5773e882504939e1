import { type Static, Type } from 'typebox';
import { isTenantId } from './account.ts';
import { isUserId } from './account-events.ts';
import { type InstrumentId, isInstrumentId } from './instrument.ts';
import { type Interval, isInterval } from './interval.ts';
import { isPlayerId, isZoneId, type PlayerId, type ZoneId } from './world.ts';

/**
 * All live channels. A `lossless` channel delivers each event or a `gap` event. On a `conflated` channel a slow reader gets
 * only the newest event of each key.
 */
export const CHANNELS = {
  trades: { name: 'trades:{instrument}', delivery: 'lossless', access: 'market:read', carries: 'every trade, as `TradeEvent`' },
  quotes: { name: 'quotes:{instrument}', delivery: 'conflated', access: 'market:read', carries: 'best bid and ask, as `QuoteEvent`' },
  book: {
    name: 'book:{instrument}',
    delivery: 'conflated',
    access: 'market:read',
    carries: 'top levels of the order book, as `BookEvent`',
  },
  candles: {
    name: 'candles:{instrument}:{interval}',
    delivery: 'conflated',
    access: 'market:read',
    carries: 'open candles, closed candles and corrections, as `CandleEvent`',
  },
  readings: { name: 'readings:{instrument}', delivery: 'lossless', access: 'market:read', carries: 'every reading, as `ReadingEvent`' },
  tickers: {
    name: 'tickers',
    delivery: 'conflated',
    access: 'market:read',
    carries: 'newest price and status of each instrument, as `TickerEvent`',
  },
  sources: {
    name: 'sources',
    delivery: 'conflated',
    access: 'platform:read',
    carries: 'state and statistics of each source, as `Source`',
  },
  world: {
    name: 'world',
    delivery: 'conflated',
    access: 'platform:read',
    carries: 'once per second: the world (`World`), its zones (array of `WorldZoneStatus`) and its hosts (array of `WorldHostStatus`)',
  },
  zones: {
    name: 'zones:{zone}',
    delivery: 'conflated',
    access: 'platform:read',
    carries: 'all visible objects of a zone, 5 times per second, as `ZoneView`',
  },
  players: {
    name: 'players:{player}',
    delivery: 'conflated',
    access: 'platform:read',
    carries: 'a player with all its components, 5 times per second, as `PlayerStatus`',
  },
  users: {
    name: 'users:{user}',
    delivery: 'lossless',
    access: 'account:read',
    carries: 'events of your account, named by `UserEvent`; `user` is an alias; channels of other users are not accessible',
  },
  tenants: {
    name: 'tenants:{tenant}',
    delivery: 'lossless',
    access: 'tenant:read',
    carries: 'events of your tenant: each audit log entry (`audited`, `AuditEntry`) and each account event (`decided`, `TenantEvent`)',
  },
  operations: {
    name: 'operations',
    delivery: 'conflated',
    access: 'platform:read',
    carries:
      'once per second: event statistics (`EventStats`), consumer groups (array of `ConsumerGroupStatus`) and alerts (array of `Alert`)',
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

/** Channels whose names have no parameters. */
export const PLAIN = ['tickers', 'sources', 'world', 'operations'] as const;

/** Alias for the channel of the signed-in user. */
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

/** `epoch-offset`: place in the history of a hub. Valid for all channels of that hub. */
export const Position = Type.String({
  pattern: '^[0-9a-z]{1,16}-[0-9]{1,16}$',
  description: 'Position in the live history: epoch, hyphen, offset.',
  examples: ['m3k9x2-4711'],
});

/** Data of a `gap` event: the stream cannot continue without loss at the position of the reader. */
export const GapNotice = Type.Object(
  {
    channel: Type.String(),
    from: Type.String({ description: 'Position to resume after.' }),
    to: Type.String({ description: 'Position after which events follow.' }),
    reason: Type.Union([Type.Literal('evicted'), Type.Literal('epoch-changed'), Type.Literal('lost')], {
      description:
        '`evicted`: no longer in the history. `epoch-changed`: position of another run. `lost`: events of another server may be missing.',
    }),
  },
  { $id: 'GapNotice', description: 'Events between two positions were missed. Read the current data from the API.' },
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
      token: Type.String({ minLength: 1, maxLength: 4_096, description: 'Access token or API key.' }),
    }),
  ],
  { $id: 'SocketRequest', description: 'Request over the WebSocket: 50 per second, in bursts of up to 1,280.' },
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
  { $id: 'SocketReply', description: 'Reply to a request, with the id of the request.' },
);
export type SocketReply = Static<typeof SocketReply>;

export const SocketEvent = Type.Object(
  { channel: Type.String(), position: Position, event: Type.String(), data: Type.Unknown() },
  { $id: 'SocketEvent', description: 'An event of a channel.' },
);
export type SocketEvent = Static<typeof SocketEvent>;
