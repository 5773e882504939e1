import { Type } from 'typebox';
import { ACCOUNT_ENDPOINTS } from './account-endpoints.ts';
import { endpoint, NoContent } from './endpoint.ts';
import { DateTime, TimeParameter, type Wire } from './instant.ts';
import { InstrumentId } from './instrument.ts';
import { Interval } from './interval.ts';
import { listOf, PageQuery, RowOrder } from './page.ts';
import type { ProblemCode } from './problem.ts';
import * as resources from './resources.ts';
import { WORLD_ENDPOINTS } from './world-endpoints.ts';

const instrumentParams = Type.Object({
  id: {
    ...InstrumentId,
    'x-problem': 'UNKNOWN_INSTRUMENT' satisfies ProblemCode,
    'x-remedy': 'An instrument id is venue:BASE-QUOTE. GET /api/v1/instruments lists all instruments.',
  },
});
const sourceParams = Type.Object({ id: Type.String() });

const deadLetterParams = Type.Object({ group: Type.String(), id: Type.Integer() });

/** Maximum number of rows in one response: about 2 MB of JSON. */
export const ROWS_MAX = 20_000;
const ROWS_USUAL = 500;

/** Query parameters of a time series. @param whichTimes the times that the range is about */
const seriesQuery = (whichTimes: string) => ({
  from: Type.Optional(TimeParameter(`Start of the range${whichTimes}, inclusive`)),
  to: Type.Optional(TimeParameter(`End of the range${whichTimes}, exclusive`)),
  order: Type.Optional(RowOrder),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: ROWS_MAX,
      default: ROWS_USUAL,
      description: 'Maximum number of rows of the page: the first rows of the range in the requested `order`.',
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      maxLength: 256,
      description: '`nextCursor` of the previous page. Opaque. Send it with the same parameters. Omit it for the first page.',
    }),
  ),
});
/** What a caller can rely on while it reads a time series page by page. */
const PAGES = 'The pages of a range, one after another, hold each row once; rows that arrive meanwhile hide and repeat none.';

/** Cache rule of market data: an event of the instrument invalidates the response, and its age is bounded in any case. */
const ofInstrument = { about: 'instrument:{id}', maxAgeMs: 1_000, staleMs: 4_000 };

export const ENDPOINTS = {
  listSources: endpoint({
    method: 'GET',
    path: '/api/v1/sources',
    access: 'platform:read',
    tag: 'Sources',
    summary: 'List sources with their state and statistics',
    query: PageQuery,
    response: listOf(resources.Source),
    problems: ['INVALID_CURSOR'],
  }),
  getSource: endpoint({
    method: 'GET',
    path: '/api/v1/sources/:id',
    access: 'platform:read',
    tag: 'Sources',
    summary: 'Get a source',
    params: sourceParams,
    response: resources.Source,
    problems: ['UNKNOWN_SOURCE'],
  }),
  listQuarantine: endpoint({
    method: 'GET',
    path: '/api/v1/sources/:id/quarantine',
    access: 'platform:read',
    tag: 'Sources',
    summary: 'List the newest quarantined frames of a source, with the reasons',
    params: sourceParams,
    query: PageQuery,
    response: listOf(resources.QuarantinedFrame),
    problems: ['INVALID_CURSOR', 'UNKNOWN_SOURCE'],
  }),
  restartSource: endpoint({
    method: 'POST',
    path: '/api/v1/sources/:id/restart',
    access: 'platform:operate',
    tag: 'Sources',
    summary: 'Restart a source: drop the connection and connect again',
    params: sourceParams,
    response: resources.Source,
    problems: ['UNKNOWN_SOURCE', 'CONFLICT'],
  }),
  pauseSource: endpoint({
    method: 'POST',
    path: '/api/v1/sources/:id/pause',
    access: 'platform:operate',
    tag: 'Sources',
    summary: 'Pause a source: disconnect it until it is resumed; its instruments become stale',
    params: sourceParams,
    response: resources.Source,
    problems: ['UNKNOWN_SOURCE', 'CONFLICT'],
  }),
  resumeSource: endpoint({
    method: 'POST',
    path: '/api/v1/sources/:id/resume',
    access: 'platform:operate',
    tag: 'Sources',
    summary: 'Resume a paused source: connect it again',
    params: sourceParams,
    response: resources.Source,
    problems: ['UNKNOWN_SOURCE', 'CONFLICT'],
  }),
  listInstruments: endpoint({
    method: 'GET',
    path: '/api/v1/instruments',
    access: 'market:read',
    cache: { ...ofInstrument, about: 'instruments' },
    tag: 'Instruments',
    summary: 'List instruments with their newest prices',
    query: PageQuery,
    response: listOf(resources.Instrument),
    problems: ['INVALID_CURSOR'],
  }),
  getInstrument: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id',
    access: 'market:read',
    cache: ofInstrument,
    tag: 'Instruments',
    summary: 'Get an instrument',
    params: instrumentParams,
    response: resources.Instrument,
    problems: ['UNKNOWN_INSTRUMENT'],
  }),
  getCandles: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/candles',
    access: 'market:read',
    read: 'projection',
    cache: ofInstrument,
    tag: 'Instruments',
    summary: 'Get candles; with `asOf`, as they were known at that time',
    description: PAGES,
    params: instrumentParams,
    query: Type.Object({
      interval: Type.Optional(Interval),
      ...seriesQuery(' of opening times'),
      asOf: Type.Optional(TimeParameter('Returns the candles as they were known at this time')),
    }),
    response: resources.CandleFrame,
    problems: ['UNKNOWN_INSTRUMENT', 'UNKNOWN_INTERVAL', 'INVALID_TIME', 'INVALID_CURSOR', 'BAD_REQUEST', 'HISTORY_UNAVAILABLE'],
  }),
  getTrades: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/trades',
    access: 'market:read',
    read: 'projection',
    cache: ofInstrument,
    tag: 'Instruments',
    summary: 'Get the trades of a range',
    description: PAGES,
    params: instrumentParams,
    query: Type.Object(seriesQuery('')),
    response: resources.TradeFrame,
    problems: ['UNKNOWN_INSTRUMENT', 'INVALID_TIME', 'INVALID_CURSOR', 'BAD_REQUEST', 'HISTORY_UNAVAILABLE'],
  }),
  getReadings: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/readings',
    access: 'market:read',
    read: 'projection',
    cache: ofInstrument,
    tag: 'Instruments',
    summary: 'Get the readings of a range',
    description: PAGES,
    params: instrumentParams,
    query: Type.Object({
      name: Type.Optional(Type.String({ maxLength: 128, description: 'Returns only readings with this name.' })),
      ...seriesQuery(''),
    }),
    response: resources.ReadingFrame,
    problems: ['UNKNOWN_INSTRUMENT', 'INVALID_TIME', 'INVALID_CURSOR', 'BAD_REQUEST', 'HISTORY_UNAVAILABLE'],
  }),
  getQuote: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/quote',
    access: 'market:read',
    cache: ofInstrument,
    tag: 'Instruments',
    summary: 'Get the best bid and the best ask',
    params: instrumentParams,
    response: resources.QuoteResource,
    problems: ['UNKNOWN_INSTRUMENT', 'NO_DATA'],
  }),
  getBook: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/book',
    access: 'market:read',
    cache: ofInstrument,
    tag: 'Instruments',
    summary: 'Get the order book',
    params: instrumentParams,
    query: Type.Object({ depth: Type.Optional(Type.Integer({ minimum: 1, maximum: 5_000, default: 20 })) }),
    response: resources.BookResource,
    problems: ['UNKNOWN_INSTRUMENT', 'NO_DATA', 'BAD_REQUEST'],
  }),
  getQuality: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/quality',
    access: 'market:read',
    tag: 'Instruments',
    summary: 'Get the data quality of an instrument: gaps, duplicates, late trades, outliers and other faults',
    params: instrumentParams,
    response: resources.Quality,
    problems: ['UNKNOWN_INSTRUMENT'],
  }),
  repairInstrument: endpoint({
    method: 'POST',
    path: '/api/v1/instruments/:id/repair',
    access: 'platform:operate',
    tag: 'Instruments',
    summary: 'Repair an instrument: withdraw data with future times that a wrong clock caused, and recompute the candles',
    params: instrumentParams,
    body: Type.Object({
      cutoffAt: Type.Optional(DateTime('Data after this time is withdrawn. Default: one minute from now')),
      operator: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'Name of the operator. Used in demo mode only.' })),
      reason: Type.String({ minLength: 1, maxLength: 500 }),
    }),
    response: resources.RepairedInstrument,
    problems: ['UNKNOWN_INSTRUMENT', 'INVALID_TIME', 'BAD_REQUEST', 'CONFLICT', 'NOT_CONFIRMED', 'HISTORY_UNAVAILABLE'],
  }),
  listDeadLetters: endpoint({
    method: 'GET',
    path: '/api/v1/dead-letters',
    access: 'platform:read',
    tag: 'Log',
    summary: 'List dead letters: events that a consumer group could not apply',
    query: PageQuery,
    response: listOf(resources.DeadLetter),
    problems: ['INVALID_CURSOR'],
  }),
  getDeadLetter: endpoint({
    method: 'GET',
    path: '/api/v1/consumer-groups/:group/dead-letters/:id',
    access: 'platform:read',
    tag: 'Log',
    summary: 'Get a dead letter with its events',
    params: deadLetterParams,
    response: resources.DeadLetterContent,
    problems: ['NOT_FOUND'],
  }),
  updateDeadLetter: endpoint({
    method: 'PATCH',
    path: '/api/v1/consumer-groups/:group/dead-letters/:id',
    access: 'platform:operate',
    tag: 'Log',
    summary: 'Edit an event of a dead letter before it is replayed; the log keeps the original event',
    params: deadLetterParams,
    body: Type.Object({
      seq: Type.Integer({ description: 'Seq of the event to edit.' }),
      data: Type.Record(Type.String(), Type.Unknown(), { description: 'New data of the event. Replaces all fields.' }),
      operator: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'Name of the operator. Used in demo mode only.' })),
      reason: Type.String({ minLength: 1, maxLength: 500 }),
    }),
    response: resources.DeadLetterContent,
    problems: ['NOT_FOUND', 'BAD_REQUEST'],
  }),
  listConsumerGroups: endpoint({
    method: 'GET',
    path: '/api/v1/consumer-groups',
    access: 'platform:read',
    tag: 'Log',
    summary: 'List consumer groups with their lag',
    query: PageQuery,
    response: listOf(resources.ConsumerGroupStatus),
    problems: ['INVALID_CURSOR'],
  }),
  pauseConsumerGroup: endpoint({
    method: 'POST',
    path: '/api/v1/consumer-groups/:group/pause',
    access: 'platform:operate',
    tag: 'Log',
    summary: 'Pause a consumer group; other groups are not affected',
    params: Type.Object({ group: Type.String() }),
    response: resources.ConsumerGroupStatus,
    problems: ['NOT_FOUND', 'CONFLICT'],
  }),
  resumeConsumerGroup: endpoint({
    method: 'POST',
    path: '/api/v1/consumer-groups/:group/resume',
    access: 'platform:operate',
    tag: 'Log',
    summary: 'Resume a paused consumer group from its stored offsets',
    params: Type.Object({ group: Type.String() }),
    response: resources.ConsumerGroupStatus,
    problems: ['NOT_FOUND', 'CONFLICT'],
  }),
  skipDroppedEvents: endpoint({
    method: 'POST',
    path: '/api/v1/consumer-groups/:group/skip',
    access: 'platform:operate',
    tag: 'Log',
    summary: 'Skip the events that retention dropped before the group read them; the gap is recorded',
    params: Type.Object({ group: Type.String() }),
    response: resources.ConsumerGroupStatus,
    problems: ['NOT_FOUND', 'CONFLICT'],
  }),
  listAlerts: endpoint({
    method: 'GET',
    path: '/api/v1/alerts',
    access: 'platform:read',
    tag: 'Log',
    summary: 'List active and recent alerts',
    query: PageQuery,
    response: listOf(resources.Alert),
    problems: ['INVALID_CURSOR'],
  }),
  getEventStats: endpoint({
    method: 'GET',
    path: '/api/v1/events/stats',
    access: 'platform:read',
    tag: 'Log',
    summary: 'Get event counts by type, and the size of the log',
    response: resources.EventStats,
    problems: [],
  }),
  getConnections: endpoint({
    method: 'GET',
    path: '/api/v1/connections',
    access: 'platform:read',
    tag: 'Streams',
    summary: 'Get open streams by process, user and transport',
    response: resources.Connections,
    problems: [],
  }),
  deleteDeadLetter: endpoint({
    method: 'DELETE',
    path: '/api/v1/consumer-groups/:group/dead-letters/:id',
    access: 'platform:operate',
    tag: 'Log',
    summary: 'Delete a dead letter: the group never processes its events',
    params: deadLetterParams,
    status: 204,
    response: NoContent,
    problems: ['NOT_FOUND'],
  }),
  replayDeadLetter: endpoint({
    method: 'POST',
    path: '/api/v1/consumer-groups/:group/dead-letters/:id/replay',
    access: 'platform:operate',
    tag: 'Log',
    summary: 'Replay a dead letter: its consumer group processes the events again',
    params: deadLetterParams,
    response: Type.Object({ replayed: Type.Boolean() }),
    problems: ['NOT_FOUND', 'CONFLICT'],
  }),
  ...WORLD_ENDPOINTS,
  ...ACCOUNT_ENDPOINTS,
  stream: endpoint({
    method: 'GET',
    path: '/api/v1/stream',
    access: 'channels',
    tag: 'Streams',
    summary: 'Stream the live events of channels as server-sent events',
    query: Type.Object({
      channels: Type.String({ description: 'Channel names, separated by commas.', examples: ['trades:binance:BTC-USDT,tickers'] }),
      lastEventId: Type.Optional(Type.String({ description: 'Position to resume after. The header Last-Event-ID does the same.' })),
    }),
    response: Type.String(),
    contentType: 'text/event-stream',
    problems: ['UNKNOWN_CHANNEL', 'INVALID_POSITION', 'UNKNOWN_INSTRUMENT', 'TOO_MANY_CONNECTIONS'],
  }),
  listServers: endpoint({
    method: 'GET',
    path: '/api/v1/servers',
    access: 'platform:read',
    tag: 'Health',
    summary: 'List this server first and, on a gateway, the servers behind it',
    query: PageQuery,
    response: listOf(resources.Server),
    problems: ['INVALID_CURSOR'],
  }),
  live: endpoint({
    method: 'GET',
    path: '/health/live',
    access: 'public',
    cost: 0,
    tag: 'Health',
    summary: 'Check that the process runs',
    response: resources.Health,
    problems: [],
  }),
  ready: endpoint({
    method: 'GET',
    path: '/health/ready',
    access: 'public',
    cost: 0,
    tag: 'Health',
    summary: 'Check that the process can serve; 503 lists the failing dependencies, since when and why',
    response: resources.Health,
    problems: [],
  }),
} as const;
export type EndpointName = keyof typeof ENDPOINTS;

type Endpoints = typeof ENDPOINTS;
type Part<E, K extends string> = E extends { readonly [Key in K]: infer S extends Type.TSchema } ? Type.Static<S> : unknown;

type Parts<E> = Part<E, 'params'> & Part<E, 'query'> & Part<E, 'body'>;
/** Callers pass instrument ids as plain strings; the server validates them. */
type Plain<V> = V extends InstrumentId ? string : Wire<V>;

/** Arguments of an operation: its path parameters, query parameters and body fields in one object. */
export type EndpointArgs<N extends EndpointName> = { [K in keyof Parts<Endpoints[N]>]: Plain<Parts<Endpoints[N]>[K]> };

/** Response of an operation. */
export type EndpointResponse<N extends EndpointName> = Wire<Type.Static<Endpoints[N]['response']>>;
