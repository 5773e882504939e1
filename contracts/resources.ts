import { type Static, Type } from 'typebox';
import { Decimal } from './decimal.ts';
import { DateTime } from './instant.ts';
import { InstrumentId } from './instrument.ts';
import { Interval } from './interval.ts';
import { Candle, Gap, Level, Trade } from './market.ts';
import { HasMore, NextCursor } from './page.ts';

const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const Freshness = Type.Unsafe<'live' | 'stale'>(
  Type.Enum(['live', 'stale'], { description: '`stale`: the source is unavailable or silent, and the newest known data is served.' }),
);
export type Freshness = Static<typeof Freshness>;

export const SOURCE_STATES = ['connecting', 'live', 'waiting', 'paused', 'finished', 'stopped'] as const;
export type SourceState = (typeof SOURCE_STATES)[number];

export const Source = Type.Object(
  {
    id: Type.String(),
    type: Type.String({ examples: ['binance'] }),
    simulated: Type.Boolean({ description: 'True if the data is simulated and comes from no venue.' }),
    state: Type.Unsafe<SourceState>(Type.Enum([...SOURCE_STATES])),
    reason: Type.String({ description: 'Reason for the state.' }),
    stateChangedAt: DateTime('Start of the current state'),
    instruments: Type.Array(InstrumentId),
    connections: Type.Integer({ description: 'Number of connections made since start.' }),
    reconnectAt: Nullable(DateTime('Time of the next connection attempt')),
    lastFrameAt: Nullable(DateTime('Time of the newest frame')),
    frames: Type.Integer({ description: 'Number of frames received since start.' }),
    framesPerSecond: Type.Number(),
    latencyMs: Nullable(
      Type.Number({ description: 'Latency, ms: receive time minus the time of the venue. Median of the newest frames.' }),
    ),
    consumed: Type.Record(Type.String(), Type.Integer(), { description: 'Frames processed, by kind.' }),
    ignored: Type.Record(Type.String(), Type.Integer(), { description: 'Frames of known kinds that were ignored, by kind.' }),
    refused: Type.Record(Type.String(), Type.Integer(), { description: 'Frames rejected to quarantine, by reason.' }),
    faults: Type.Record(Type.String(), Type.Integer(), { description: 'Faults of the feed, by kind.' }),
  },
  { $id: 'Source', description: 'A source with its state and statistics.' },
);
export type Source = Static<typeof Source>;

export const QuarantinedFrame = Type.Object(
  {
    receivedAt: DateTime('Receive time'),
    reason: Type.String(),
    detail: Type.String(),
    frame: Type.String({ description: 'First 512 characters of the frame.' }),
    bytes: Type.Integer(),
  },
  { $id: 'QuarantinedFrame', description: 'A frame in quarantine.' },
);
export type QuarantinedFrame = Static<typeof QuarantinedFrame>;

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

export const HealthCheckState = Type.Object(
  {
    name: Type.String({ examples: ['database'] }),
    isRequired: Type.Boolean({ description: 'True if the process cannot serve without this dependency.' }),
    status: Type.Unsafe<'ok' | 'failing' | 'unknown'>(Type.Enum(['ok', 'failing', 'unknown'])),
    statusChangedAt: DateTime('Start of the current status'),
    reason: Type.Union([Type.String(), Type.Null()], { description: 'Reason for the failure.' }),
  },
  { $id: 'HealthCheckState', description: 'Health check of a dependency of the process.' },
);
export type HealthCheckState = Static<typeof HealthCheckState>;

export const Health = Type.Object(
  {
    status: Type.Unsafe<'ok' | 'starting' | 'failing'>(Type.Enum(['ok', 'starting', 'failing'])),
    parts: Type.Record(Type.String(), Type.String(), { description: 'Status text of each part.' }),
    checks: Type.Array(HealthCheckState, { description: 'Health checks of the dependencies, a few seconds old at most.' }),
  },
  { $id: 'Health', description: 'Health of the process.' },
);
export type Health = Static<typeof Health>;

export const Server = Type.Object(
  {
    node: Type.Union([Type.String(), Type.Null()], { description: 'Name of the node. Null if it was never reached.' }),
    role: Type.Unsafe<'all' | 'gateway'>(Type.Enum(['all', 'gateway'])),
    address: Type.Union([Type.String(), Type.Null()], { description: 'Address at which gateways reach it. Null if none is configured.' }),
    state: Type.Unsafe<'available' | 'unavailable'>(Type.Enum(['available', 'unavailable'])),
    circuit: Type.Unsafe<'closed' | 'open' | 'half-open'>(
      Type.Enum(['closed', 'open', 'half-open'], {
        description: 'Circuit breaker. `open`: it failed several times in a row and gets no requests for a short time.',
      }),
    ),
    startedAt: Nullable(DateTime('Start time of the process')),
    worldPort: Type.Union([Type.Integer(), Type.Null()], { description: 'TCP port for players. Null if it has no world.' }),
    open: Type.Integer({ description: 'Number of open requests, streams and connections to it.' }),
    requests: Type.Integer({ description: 'Number of requests sent to it.' }),
    failures: Type.Integer({ description: 'Number of failed requests to it.' }),
    failure: Type.Union([Type.String(), Type.Null()], { description: 'Reason for the state `unavailable`.' }),
  },
  { $id: 'Server', description: 'A server of the installation, as seen by the server that answers.' },
);
export type Server = Static<typeof Server>;

export const DeadLetter = Type.Object(
  {
    id: Type.Integer(),
    group: Type.String({ description: 'Consumer group that could not apply it.' }),
    partition: Type.Integer(),
    offset: Type.Integer(),
    zone: Type.String(),
    seq: Type.Integer(),
    reason: Type.String(),
    createdAt: DateTime('Time at which it was stored as a dead letter'),
    resumeFrom: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'For reactors: which of the commands of the event is the first that a replay sends, from 0.',
      }),
    ),
  },
  {
    $id: 'DeadLetter',
    description: 'A batch of events that a consumer group could not apply. It is kept until it is replayed or deleted.',
  },
);
export type DeadLetter = Static<typeof DeadLetter>;

export const DeadLetterContent = Type.Object(
  {
    deadLetter: DeadLetter,
    events: Type.Array(Type.Object({ seq: Type.Integer(), type: Type.String(), data: Type.Unknown() }), {
      description: 'Events of the dead letter.',
    }),
  },
  { $id: 'DeadLetterContent', description: 'A dead letter with its events.' },
);
export type DeadLetterContent = Static<typeof DeadLetterContent>;

const ConsumerGap = Type.Object({
  partition: Type.Integer(),
  from: Type.Integer({ description: 'First dropped offset.' }),
  to: Type.Integer({ description: 'First offset after the gap.' }),
  recordedAt: DateTime('Time at which the gap was detected or skipped'),
});

export const ConsumerGroupStatus = Type.Object(
  {
    group: Type.String(),
    state: Type.Unsafe<'running' | 'paused' | 'unavailable' | 'overtaken'>(
      Type.Enum(['running', 'paused', 'unavailable', 'overtaken'], {
        description: '`overtaken`: retention dropped events that the group had not read. It stops until they are skipped.',
      }),
    ),
    lag: Type.Integer({ description: 'Number of events in the log that the group has not read.' }),
    applied: Type.Integer({ description: 'Number of events read since start.' }),
    deadLetters: Type.Integer({ description: 'Number of dead letters since start.' }),
    failure: Nullable(Type.String({ description: 'Reason why the group cannot apply events. Null if it can.' })),
    offsets: Type.Array(Type.Integer(), { description: 'Next offset to read in each partition.' }),
    overtaken: Type.Array(ConsumerGap, {
      description: 'Ranges that retention dropped before the group read them, and that are not skipped yet.',
    }),
    gaps: Type.Array(ConsumerGap, { description: 'Ranges that the group skipped.' }),
  },
  { $id: 'ConsumerGroupStatus', description: 'A consumer group with its state and lag.' },
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
      description: 'Zone, consumer group, instrument, owner of the log or spool, player or item, `disk` or `world`.',
    }),
    value: Type.Number(),
    threshold: Type.Number(),
    startedAt: DateTime('Start of the alert'),
    endedAt: Nullable(DateTime('End of the alert. Null while it is active')),
  },
  { $id: 'Alert', description: 'An alert for operators.' },
);
export type Alert = Static<typeof Alert>;

export const EventStats = Type.Object(
  {
    types: Type.Array(Type.Object({ kind: Type.String(), type: Type.String(), perSecond: Type.Number(), total: Type.Integer() }), {
      description: 'Events by zone kind and type. `total` counts from the start of this server.',
    }),
    topics: Type.Array(
      Type.Object({
        topic: Type.String({ description: 'Topic: `market` or `worlds`.' }),
        partitions: Type.Array(Type.Object({ start: Type.Integer(), end: Type.Integer() })),
        bytes: Type.Integer(),
      }),
    ),
  },
  { $id: 'EventStats', description: 'Event counts by type, and the topics of the log.' },
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
        node: Type.String({ description: 'Name of the node: host name and process id.' }),
        streams: Type.Integer(),
        transports: Type.Unsafe<Partial<Record<Transport, number>>>(
          Type.Record(Type.String(), Type.Integer(), { description: 'Streams by transport.' }),
        ),
      }),
    ),
    users: Type.Array(
      Type.Object({
        user: Nullable(Type.String({ description: 'Null for anonymous readers.' })),
        name: Type.String(),
        tenant: Type.String(),
        node: Type.String(),
        transport: TransportName,
        streams: Type.Integer(),
        openedAt: DateTime('Time at which the oldest of these streams was opened'),
      }),
      { description: 'Users with the most streams first, at most 1,000.' },
    ),
  },
  { $id: 'Connections', description: 'Open streams by node, user and transport.' },
);
export type Connections = Static<typeof Connections>;
