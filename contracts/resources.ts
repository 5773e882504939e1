import { type Static, Type } from 'typebox';
import { Decimal } from './decimal.ts';
import { InstrumentId } from './instrument.ts';
import { Interval } from './interval.ts';
import { Candle, Gap, Level, Trade } from './market.ts';
import { NextCursor } from './page.ts';

const EpochMs = (description: string) => Type.Number({ description: `${description}, epoch ms.` });
const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const Freshness = Type.Unsafe<'live' | 'stale'>(
  Type.Enum(['live', 'stale'], { description: '`stale`: the source is down or silent; what is served is the last that is known.' }),
);
export type Freshness = Static<typeof Freshness>;

export const SOURCE_STATES = ['connecting', 'live', 'waiting', 'paused', 'finished', 'stopped'] as const;
export type SourceState = (typeof SOURCE_STATES)[number];

export const Source = Type.Object(
  {
    id: Type.String(),
    type: Type.String({ examples: ['binance'] }),
    simulated: Type.Boolean({ description: 'The data is made up; it comes from no venue.' }),
    state: Type.Unsafe<SourceState>(Type.Enum([...SOURCE_STATES])),
    reason: Type.String({ description: 'Why it is in this state.' }),
    since: EpochMs('When it entered this state'),
    instruments: Type.Array(InstrumentId),
    connections: Type.Integer({ description: 'Connections made since start.' }),
    reconnectAt: Nullable(EpochMs('When the next attempt is due')),
    lastFrameAt: Nullable(EpochMs('When the newest frame came')),
    frames: Type.Integer({ description: 'Frames received since start.' }),
    framesPerSecond: Type.Number(),
    latencyMs: Nullable(Type.Number({ description: 'Receive time minus the venue’s time, median of the newest frames.' })),
    consumed: Type.Record(Type.String(), Type.Integer(), { description: 'Frames used, by kind.' }),
    ignored: Type.Record(Type.String(), Type.Integer(), { description: 'Frames known and not used, by kind.' }),
    refused: Type.Record(Type.String(), Type.Integer(), { description: 'Frames put into quarantine, by reason.' }),
    faults: Type.Record(Type.String(), Type.Integer(), { description: 'What went wrong on the way, by kind.' }),
  },
  { $id: 'Source', description: 'An outside feed, its state and its statistics.' },
);
export type Source = Static<typeof Source>;

export const QuarantinedFrame = Type.Object(
  {
    at: EpochMs('When it was received'),
    reason: Type.String(),
    detail: Type.String(),
    frame: Type.String({ description: 'The first 512 characters of what came.' }),
    bytes: Type.Integer(),
  },
  { $id: 'QuarantinedFrame', description: 'A frame that was refused.' },
);
export type QuarantinedFrame = Static<typeof QuarantinedFrame>;

export const Instrument = Type.Object(
  {
    id: InstrumentId,
    source: Type.String(),
    symbol: Type.String({ description: 'The venue’s own name of it.' }),
    base: Type.String(),
    quote: Type.String(),
    simulated: Type.Boolean(),
    status: Freshness,
    reason: Nullable(Type.String({ description: 'Why it is stale; null while live.' })),
    asOf: EpochMs('Time of the newest data'),
    price: Nullable(Decimal),
    dayOpen: Nullable({ ...Decimal, description: 'First price of the UTC day.' }),
    dayHigh: Nullable({ ...Decimal, description: 'Highest price of the UTC day.' }),
    dayLow: Nullable({ ...Decimal, description: 'Lowest price of the UTC day.' }),
    dayVolume: { ...Decimal, description: 'Quantity traded in the UTC day.' },
    trades: Type.Integer({ description: 'Trades recorded.' }),
    spark: Type.Array(Type.Number(), { description: 'Closes of the newest 1-minute candles, oldest first.' }),
  },
  { $id: 'Instrument', description: 'An instrument, its newest price and its day.' },
);
export type Instrument = Static<typeof Instrument>;

const frame = {
  instrument: InstrumentId,
  status: Freshness,
  asOf: EpochMs('Time of the newest data'),
};

/** Times in epoch ms; prices and quantities of trades digit for digit. */
export type CandleRow = [time: number, open: number, high: number, low: number, close: number, volume: number];
export type TradeRow = [time: number, price: string, quantity: string, side: Trade['side'], id: string];
export type ReadingRow = [time: number, name: string, value: number | string];

export const CandleFrame = Type.Object(
  {
    ...frame,
    interval: Interval,
    columns: Type.Array(Type.String(), { examples: [['time', 'open', 'high', 'low', 'close', 'volume']] }),
    rows: Type.Unsafe<CandleRow[]>(Type.Array(Type.Array(Type.Number()))),
    meta: Type.Object({ closed: Type.Boolean({ description: 'Whether the last row is a closed candle.' }) }),
  },
  { $id: 'CandleFrame', description: 'Candles as columns, oldest first; `time` is the opening, epoch ms.' },
);
export type CandleFrame = Static<typeof CandleFrame>;

export const TradeFrame = Type.Object(
  {
    ...frame,
    columns: Type.Array(Type.String(), { examples: [['time', 'price', 'quantity', 'side', 'id']] }),
    rows: Type.Unsafe<TradeRow[]>(Type.Array(Type.Array(Type.Union([Type.Number(), Type.String()])))),
    nextCursor: NextCursor,
  },
  { $id: 'TradeFrame', description: 'Trades as columns, oldest first; prices and quantities digit for digit.' },
);
export type TradeFrame = Static<typeof TradeFrame>;

export const ReadingFrame = Type.Object(
  {
    ...frame,
    columns: Type.Array(Type.String()),
    rows: Type.Unsafe<ReadingRow[]>(Type.Array(Type.Array(Type.Union([Type.Number(), Type.String()])))),
    nextCursor: NextCursor,
  },
  { $id: 'ReadingFrame', description: 'Named readings as columns, oldest first.' },
);
export type ReadingFrame = Static<typeof ReadingFrame>;

export const RepairedInstrument = Type.Object(
  {
    instrument: InstrumentId,
    after: EpochMs('What is later was withdrawn'),
    newestAt: EpochMs('Time of the newest data that is left'),
    withdrawn: Type.Array(Trade, { description: 'The trades that were withdrawn, oldest first; none where there was nothing to mend.' }),
  },
  { $id: 'RepairedInstrument', description: 'What was withdrawn of an instrument whose event time had run ahead.' },
);
export type RepairedInstrument = Static<typeof RepairedInstrument>;

export const QuoteResource = Type.Object(
  { ...frame, bid: Decimal, bidQuantity: Decimal, ask: Decimal, askQuantity: Decimal },
  { $id: 'QuoteResource', description: 'The newest best bid and ask.' },
);
export type QuoteResource = Static<typeof QuoteResource>;

export const BookResource = Type.Object(
  {
    ...frame,
    reason: Nullable(Type.String({ description: 'Why it is stale; null while live.' })),
    synced: Type.Boolean({ description: 'Whether the book is whole: a snapshot was applied and no update was lost since.' }),
    bids: Type.Array(Level, { description: 'Best first.' }),
    asks: Type.Array(Level, { description: 'Best first.' }),
    breaks: Type.Integer({ description: 'How often an update was lost and the book built anew.' }),
  },
  { $id: 'BookResource', description: 'The order book.' },
);
export type BookResource = Static<typeof BookResource>;

export const QualityExample = Type.Object({
  kind: Type.String(),
  time: EpochMs('When it happened'),
  detail: Type.String(),
});
export type QualityExample = Static<typeof QualityExample>;

export const CandleDifference = Type.Object({
  interval: Interval,
  time: EpochMs('Opening of the candle'),
  ours: Nullable(Candle),
  theirs: Candle,
  partial: Type.Boolean({ description: 'We did not watch the whole interval, so a difference is expected.' }),
});
export type CandleDifference = Static<typeof CandleDifference>;

export const Quality = Type.Object(
  {
    instrument: InstrumentId,
    counts: Type.Object({
      trades: Type.Integer(),
      duplicates: Type.Integer(),
      gaps: Type.Integer(),
      repaired: Type.Integer({ description: 'Holes that were filled from the venue’s history.' }),
      late: Type.Integer({ description: 'Trades that corrected a closed candle.' }),
      lateBeyondWindow: Type.Integer({ description: 'Trades too late for their candle; recorded all the same.' }),
      outOfOrder: Type.Integer(),
      outliers: Type.Integer(),
      clockSkew: Type.Integer(),
      quarantined: Type.Integer(),
      bookBreaks: Type.Integer(),
      candlesCompared: Type.Integer(),
      candlesDiffering: Type.Integer(),
    }),
    gaps: Type.Array(Gap, { description: 'The newest holes that could not be filled.' }),
    differences: Type.Array(CandleDifference, { description: 'The newest candles in which we and the venue differ.' }),
    examples: Type.Array(QualityExample, { description: 'The newest events behind the counts.' }),
  },
  { $id: 'Quality', description: 'How good the data of an instrument is.' },
);
export type Quality = Static<typeof Quality>;

export const HealthCheckState = Type.Object(
  {
    name: Type.String({ examples: ['database'] }),
    isRequired: Type.Boolean({ description: 'Whether the process cannot serve without it.' }),
    status: Type.Unsafe<'ok' | 'failing' | 'unknown'>(Type.Enum(['ok', 'failing', 'unknown'])),
    since: Type.Integer({ description: 'When it got this status, epoch ms.' }),
    reason: Type.Union([Type.String(), Type.Null()], { description: 'Why it fails.' }),
  },
  { $id: 'HealthCheckState', description: 'How a dependency of the process is.' },
);
export type HealthCheckState = Static<typeof HealthCheckState>;

export const Health = Type.Object(
  {
    status: Type.Unsafe<'ok' | 'starting' | 'failing'>(Type.Enum(['ok', 'starting', 'failing'])),
    parts: Type.Record(Type.String(), Type.String(), { description: 'What each part says of itself.' }),
    checks: Type.Array(HealthCheckState, { description: 'What the process depends on, as of the last seconds.' }),
  },
  { $id: 'Health', description: 'Whether the process serves.' },
);
export type Health = Static<typeof Health>;

export const Server = Type.Object(
  {
    node: Type.Union([Type.String(), Type.Null()], { description: 'What the process is called; null while it was never reached.' }),
    role: Type.Unsafe<'all' | 'gateway'>(Type.Enum(['all', 'gateway'])),
    address: Type.Union([Type.String(), Type.Null()], { description: 'Where gateways reach it; null where none do.' }),
    state: Type.Unsafe<'available' | 'unavailable'>(Type.Enum(['available', 'unavailable'])),
    circuit: Type.Unsafe<'closed' | 'open' | 'half-open'>(
      Type.Enum(['closed', 'open', 'half-open'], {
        description: 'Open: it failed several times in a row, and is left alone for a moment.',
      }),
    ),
    startedAt: Type.Union([Type.Integer(), Type.Null()], { description: 'Epoch ms.' }),
    worldPort: Type.Union([Type.Integer(), Type.Null()], { description: 'Where it takes players in over TCP; null when it has no world.' }),
    open: Type.Integer({ description: 'Requests, streams and connections that go through to it now.' }),
    requests: Type.Integer({ description: 'Requests that were sent to it so far.' }),
    failures: Type.Integer({ description: 'Requests that it did not answer.' }),
    failure: Type.Union([Type.String(), Type.Null()], { description: 'Why it is unavailable.' }),
  },
  { $id: 'Server', description: 'A server of the installation, as the one that was asked sees it.' },
);
export type Server = Static<typeof Server>;

export const DeadLetter = Type.Object(
  {
    id: Type.Integer(),
    group: Type.String({ description: 'The consumer group that could not take it.' }),
    partition: Type.Integer(),
    offset: Type.Integer(),
    zone: Type.String(),
    seq: Type.Integer(),
    reason: Type.String(),
    at: EpochMs('When it was set aside'),
  },
  { $id: 'DeadLetter', description: 'An event that a consumer could not take; kept until it is replayed or dropped.' },
);
export type DeadLetter = Static<typeof DeadLetter>;

export const DeadLetterContent = Type.Object(
  {
    letter: DeadLetter,
    events: Type.Array(Type.Object({ seq: Type.Integer(), type: Type.String(), data: Type.Unknown() }), {
      description: 'The events as they were decided.',
    }),
  },
  { $id: 'DeadLetterContent', description: 'A dead letter with what is in it.' },
);
export type DeadLetterContent = Static<typeof DeadLetterContent>;

const ConsumerGap = Type.Object({
  partition: Type.Integer(),
  from: Type.Integer({ description: 'The first offset that was dropped.' }),
  to: Type.Integer({ description: 'The first offset after the gap.' }),
  at: EpochMs('When it was noticed, or skipped'),
});

export const ConsumerGroupStatus = Type.Object(
  {
    group: Type.String(),
    state: Type.Unsafe<'running' | 'paused' | 'unavailable' | 'overtaken'>(
      Type.Enum(['running', 'paused', 'unavailable', 'overtaken'], {
        description: '`overtaken`: retention has dropped events that it has not read; it reads nothing until they are skipped.',
      }),
    ),
    lag: Type.Integer({ description: 'Events in the log that it has not read.' }),
    applied: Type.Integer({ description: 'Events read since it started.' }),
    deadLetters: Type.Integer({ description: 'Events it has set aside since it started.' }),
    failure: Nullable(Type.String({ description: 'Why it cannot write.' })),
    offsets: Type.Array(Type.Integer(), { description: 'Where it stands in each partition.' }),
    overtaken: Type.Array(ConsumerGap, { description: 'Events that were dropped before it read them, and wait for a decision.' }),
    gaps: Type.Array(ConsumerGap, { description: 'Events that it went on without.' }),
  },
  { $id: 'ConsumerGroupStatus', description: 'A consumer group of the log.' },
);
export type ConsumerGroupStatus = Static<typeof ConsumerGroupStatus>;

const ALERT_RULES = [
  'slow-tick',
  'ccu-drop',
  'duplicate',
  'errors',
  'long-queue',
  'snapshots-fail',
  'lag',
  'overtaken',
  'disk-low',
  'spool-full',
  'log-unwritable',
  'candles-differ',
] as const;

export const Alert = Type.Object(
  {
    id: Type.String(),
    severity: Type.Unsafe<'critical' | 'warning'>(Type.Enum(['critical', 'warning'])),
    rule: Type.Unsafe<(typeof ALERT_RULES)[number]>(Type.Enum([...ALERT_RULES])),
    subject: Type.String({
      description: 'The zone, the consumer group, the instrument, whose log or spool it is, the player or item, `disk`, or `world`.',
    }),
    value: Type.Number(),
    threshold: Type.Number(),
    since: EpochMs('When it began'),
    until: Nullable(EpochMs('When it was over')),
  },
  { $id: 'Alert', description: 'Something that deserves a person’s attention.' },
);
export type Alert = Static<typeof Alert>;

export const EventStats = Type.Object(
  {
    types: Type.Array(Type.Object({ kind: Type.String(), type: Type.String(), perSecond: Type.Number(), total: Type.Integer() }), {
      description: 'Events decided, by zone kind and type; `total` since this server started.',
    }),
    topics: Type.Array(
      Type.Object({
        topic: Type.String({ description: '`market` or `worlds`.' }),
        partitions: Type.Array(Type.Object({ start: Type.Integer(), end: Type.Integer() })),
        bytes: Type.Integer(),
      }),
    ),
  },
  { $id: 'EventStats', description: 'What flows through the log.' },
);
export type EventStats = Static<typeof EventStats>;

const TRANSPORTS = ['sse', 'websocket', 'graphql-sse', 'graphql-websocket'] as const;
/** How a stream reaches its reader. */
export type Transport = (typeof TRANSPORTS)[number];
const TransportName = Type.Unsafe<Transport>(Type.Enum([...TRANSPORTS]));

export const Connections = Type.Object(
  {
    nodes: Type.Array(
      Type.Object({
        node: Type.String({ description: 'The process: its machine and number.' }),
        streams: Type.Integer(),
        transports: Type.Unsafe<Partial<Record<Transport, number>>>(
          Type.Record(Type.String(), Type.Integer(), { description: 'Streams by transport.' }),
        ),
      }),
    ),
    users: Type.Array(
      Type.Object({
        user: Nullable(Type.String({ description: 'Null for who did not sign in.' })),
        name: Type.String(),
        tenant: Type.String(),
        node: Type.String(),
        transport: TransportName,
        streams: Type.Integer(),
        since: EpochMs('When the oldest of them was opened'),
      }),
      { description: 'Those with the most streams first, a thousand at most.' },
    ),
  },
  { $id: 'Connections', description: 'Who watches, from which process, over what.' },
);
export type Connections = Static<typeof Connections>;
