import { Type } from 'typebox';
import { ACCOUNT_ENDPOINTS } from './account-endpoints.ts';
import { endpoint, NoContent } from './endpoint.ts';
import { InstrumentId } from './instrument.ts';
import { Interval } from './interval.ts';
import { listOf, PageQuery } from './page.ts';
import type { ProblemCode } from './problem.ts';
import * as resources from './resources.ts';
import { WORLD_ENDPOINTS } from './world-endpoints.ts';

const Time = (description: string) =>
  Type.String({ description: `${description}: epoch ms or ISO 8601.`, examples: ['1633998480000', '2021-10-12T00:28:00Z'] });
const Limit = (most: number, usual: number) =>
  Type.Integer({ minimum: 1, maximum: most, default: usual, description: `How many at most; the newest ones when more lie in the range.` });
const Cursor = Type.String({ maxLength: 256, description: 'The `nextCursor` of an answer: only rows before those.' });

const instrumentParams = Type.Object({
  id: {
    ...InstrumentId,
    'x-problem': 'UNKNOWN_INSTRUMENT' satisfies ProblemCode,
    'x-remedy': 'Instruments read venue:BASE-QUOTE; GET /api/v1/instruments lists all instruments.',
  },
});
const sourceParams = Type.Object({ id: Type.String() });

const deadLetterParams = Type.Object({ group: Type.String(), id: Type.Integer() });

/** Rows one answer may hold: about 2 MB of JSON, and a decade of daily candles. */
export const ROWS_MAX = 20_000;
const ROWS_USUAL = 500;

/** What markets answer is touched by each of their events, and cannot be older than this where events do not tell of it. */
const ofInstrument = { about: 'instrument:{id}', maxAgeMs: 1_000, staleMs: 4_000 };

export const ENDPOINTS = {
  listSources: endpoint({
    method: 'GET',
    path: '/api/v1/sources',
    access: 'platform:read',
    tag: 'Sources',
    summary: 'All sources with state and statistics',
    query: PageQuery,
    response: listOf(resources.Source),
    problems: ['INVALID_CURSOR'],
  }),
  getSource: endpoint({
    method: 'GET',
    path: '/api/v1/sources/:id',
    access: 'platform:read',
    tag: 'Sources',
    summary: 'One source',
    params: sourceParams,
    response: resources.Source,
    problems: ['UNKNOWN_SOURCE'],
  }),
  listQuarantine: endpoint({
    method: 'GET',
    path: '/api/v1/sources/:id/quarantine',
    access: 'platform:read',
    tag: 'Sources',
    summary: 'The newest frames that were refused, with reasons',
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
    summary: 'Drop the connection and connect anew',
    params: sourceParams,
    response: resources.Source,
    problems: ['UNKNOWN_SOURCE', 'CONFLICT'],
  }),
  pauseSource: endpoint({
    method: 'POST',
    path: '/api/v1/sources/:id/pause',
    access: 'platform:operate',
    tag: 'Sources',
    summary: 'Disconnect until resumed; its instruments go stale',
    params: sourceParams,
    response: resources.Source,
    problems: ['UNKNOWN_SOURCE', 'CONFLICT'],
  }),
  resumeSource: endpoint({
    method: 'POST',
    path: '/api/v1/sources/:id/resume',
    access: 'platform:operate',
    tag: 'Sources',
    summary: 'Connect a paused source again',
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
    summary: 'All instruments with their newest price',
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
    summary: 'One instrument',
    params: instrumentParams,
    response: resources.Instrument,
    problems: ['UNKNOWN_INSTRUMENT'],
  }),
  getCandles: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/candles',
    access: 'market:read',
    cache: ofInstrument,
    tag: 'Instruments',
    summary: 'Candles; with `asOf`, as they were known at that moment',
    params: instrumentParams,
    query: Type.Object({
      interval: Type.Optional(Interval),
      from: Type.Optional(Time('First opening')),
      to: Type.Optional(Time('Openings before this')),
      limit: Type.Optional(Limit(ROWS_MAX, ROWS_USUAL)),
      asOf: Type.Optional(Time('Moment of knowledge')),
    }),
    response: resources.CandleFrame,
    problems: ['UNKNOWN_INSTRUMENT', 'UNKNOWN_INTERVAL', 'INVALID_TIME', 'BAD_REQUEST'],
  }),
  getTrades: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/trades',
    access: 'market:read',
    cache: ofInstrument,
    tag: 'Instruments',
    summary: 'Trades, oldest first, digit for digit: the newest of the range, and with `cursor` those before them',
    params: instrumentParams,
    query: Type.Object({
      from: Type.Optional(Time('First trade')),
      to: Type.Optional(Time('Trades before this')),
      limit: Type.Optional(Limit(ROWS_MAX, ROWS_USUAL)),
      cursor: Type.Optional(Cursor),
    }),
    response: resources.TradeFrame,
    problems: ['UNKNOWN_INSTRUMENT', 'INVALID_TIME', 'INVALID_CURSOR', 'BAD_REQUEST'],
  }),
  getReadings: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/readings',
    access: 'market:read',
    cache: ofInstrument,
    tag: 'Instruments',
    summary: 'Named readings of a feed that is no market',
    params: instrumentParams,
    query: Type.Object({
      name: Type.Optional(Type.String({ maxLength: 128, description: 'Only readings of this name.' })),
      from: Type.Optional(Time('First reading')),
      to: Type.Optional(Time('Readings before this')),
      limit: Type.Optional(Limit(ROWS_MAX, ROWS_USUAL)),
      cursor: Type.Optional(Cursor),
    }),
    response: resources.ReadingFrame,
    problems: ['UNKNOWN_INSTRUMENT', 'INVALID_TIME', 'INVALID_CURSOR', 'BAD_REQUEST'],
  }),
  getQuote: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/quote',
    access: 'market:read',
    cache: ofInstrument,
    tag: 'Instruments',
    summary: 'Best bid and ask',
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
    summary: 'The order book',
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
    summary: 'Gaps, duplicates, late trades, outliers and what else was noticed',
    params: instrumentParams,
    response: resources.Quality,
    problems: ['UNKNOWN_INSTRUMENT'],
  }),
  repairInstrument: endpoint({
    method: 'POST',
    path: '/api/v1/instruments/:id/repair',
    access: 'platform:operate',
    tag: 'Instruments',
    summary: 'Withdraw what a wrong clock has put into the future of an instrument; its candles are made again of what is left',
    params: instrumentParams,
    body: Type.Object({
      after: Type.Optional(Time('Everything later is withdrawn; a minute from now when left out')),
      operator: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'Who asks for it, in a demo.' })),
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
    summary: 'Events that a consumer could not take',
    query: PageQuery,
    response: listOf(resources.DeadLetter),
    problems: ['INVALID_CURSOR'],
  }),
  getDeadLetter: endpoint({
    method: 'GET',
    path: '/api/v1/consumer-groups/:group/dead-letters/:id',
    access: 'platform:read',
    tag: 'Log',
    summary: 'A dead letter with its events',
    params: deadLetterParams,
    response: resources.DeadLetterContent,
    problems: ['NOT_FOUND'],
  }),
  updateDeadLetter: endpoint({
    method: 'PATCH',
    path: '/api/v1/consumer-groups/:group/dead-letters/:id',
    access: 'platform:operate',
    tag: 'Log',
    summary: 'Correct an event of a dead letter, before it is replayed; the log keeps it as it was decided',
    params: deadLetterParams,
    body: Type.Object({
      seq: Type.Integer({ description: 'Which event.' }),
      data: Type.Record(Type.String(), Type.Unknown(), { description: 'Its fields, in place of those it has.' }),
      operator: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'Who asks for it, in a demo.' })),
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
    summary: 'The consumer groups of the log, with their lag',
    query: PageQuery,
    response: listOf(resources.ConsumerGroupStatus),
    problems: ['INVALID_CURSOR'],
  }),
  pauseConsumerGroup: endpoint({
    method: 'POST',
    path: '/api/v1/consumer-groups/:group/pause',
    access: 'platform:operate',
    tag: 'Log',
    summary: 'Stop a group reading; nobody else is held up',
    params: Type.Object({ group: Type.String() }),
    response: resources.ConsumerGroupStatus,
    problems: ['NOT_FOUND', 'CONFLICT'],
  }),
  resumeConsumerGroup: endpoint({
    method: 'POST',
    path: '/api/v1/consumer-groups/:group/resume',
    access: 'platform:operate',
    tag: 'Log',
    summary: 'Let a paused group read on where it stands',
    params: Type.Object({ group: Type.String() }),
    response: resources.ConsumerGroupStatus,
    problems: ['NOT_FOUND', 'CONFLICT'],
  }),
  skipDroppedEvents: endpoint({
    method: 'POST',
    path: '/api/v1/consumer-groups/:group/skip',
    access: 'platform:operate',
    tag: 'Log',
    summary: 'Let a group go on after events that retention has dropped before it read them; the gap is recorded',
    params: Type.Object({ group: Type.String() }),
    response: resources.ConsumerGroupStatus,
    problems: ['NOT_FOUND', 'CONFLICT'],
  }),
  listAlerts: endpoint({
    method: 'GET',
    path: '/api/v1/alerts',
    access: 'platform:read',
    tag: 'Log',
    summary: 'What deserves a person’s attention now, and lately',
    query: PageQuery,
    response: listOf(resources.Alert),
    problems: ['INVALID_CURSOR'],
  }),
  getEventStats: endpoint({
    method: 'GET',
    path: '/api/v1/events/stats',
    access: 'platform:read',
    tag: 'Log',
    summary: 'Events decided by type, and the log they go to',
    response: resources.EventStats,
    problems: [],
  }),
  getConnections: endpoint({
    method: 'GET',
    path: '/api/v1/connections',
    access: 'platform:read',
    tag: 'Streams',
    summary: 'Open streams by process, user and transport',
    response: resources.Connections,
    problems: [],
  }),
  deleteDeadLetter: endpoint({
    method: 'DELETE',
    path: '/api/v1/consumer-groups/:group/dead-letters/:id',
    access: 'platform:operate',
    tag: 'Log',
    summary: 'Discards a dead letter: its events are never processed by this group',
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
    summary: 'Hand a dead letter to its consumer again',
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
    summary: 'Live events of channels as server-sent events',
    query: Type.Object({
      channels: Type.String({ description: 'Channel names, separated by commas.', examples: ['trades:binance:BTC-USDT,tickers'] }),
      lastEventId: Type.Optional(Type.String({ description: 'Resume after this position; the header Last-Event-ID does the same.' })),
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
    summary: 'The server that is asked, then those behind it where it is a gateway',
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
    summary: 'Whether the process runs',
    response: resources.Health,
    problems: [],
  }),
  ready: endpoint({
    method: 'GET',
    path: '/health/ready',
    access: 'public',
    cost: 0,
    tag: 'Health',
    summary: 'Whether the process can serve: 503 while it cannot, with the dependency, since when, and why',
    response: resources.Health,
    problems: [],
  }),
} as const;
export type EndpointName = keyof typeof ENDPOINTS;

type Endpoints = typeof ENDPOINTS;
type Part<E, K extends string> = E extends { readonly [Key in K]: infer S extends Type.TSchema } ? Type.Static<S> : unknown;

type Parts<E> = Part<E, 'params'> & Part<E, 'query'> & Part<E, 'body'>;
/** Whoever asks need not have proved what an id is; that is the server’s work. */
type Plain<V> = V extends InstrumentId ? string : V;

/** What an operation is asked with: what stands in its path, its query and its body, together. */
export type EndpointArgs<N extends EndpointName> = { [K in keyof Parts<Endpoints[N]>]: Plain<Parts<Endpoints[N]>[K]> };

/** Response of an operation. */
export type EndpointResponse<N extends EndpointName> = Type.Static<Endpoints[N]['response']>;
