import { Type } from 'typebox';
import { endpoint } from './endpoint.ts';
import { InstrumentId } from './instrument.ts';
import { Interval } from './interval.ts';
import * as resources from './resources.ts';
import { WORLD_ENDPOINTS } from './world-endpoints.ts';

const Time = (description: string) =>
  Type.String({ description: `${description}: epoch ms or ISO 8601.`, examples: ['1633998480000', '2021-10-12T00:28:00Z'] });
const Limit = (most: number, usual: number) =>
  Type.Integer({ minimum: 1, maximum: most, default: usual, description: `How many at most; the newest ones when more lie in the range.` });

const instrumentParams = Type.Object({ id: InstrumentId });
const sourceParams = Type.Object({ id: Type.String() });

/** Rows one answer may hold: about 2 MB of JSON, and a decade of daily candles. */
export const ROWS_MAX = 20_000;
const ROWS_USUAL = 500;

export const ENDPOINTS = {
  listSources: endpoint({
    method: 'GET',
    path: '/api/v1/sources',
    tag: 'Sources',
    summary: 'All sources with state and figures',
    answer: Type.Array(resources.Source),
    problems: [],
  }),
  getSource: endpoint({
    method: 'GET',
    path: '/api/v1/sources/:id',
    tag: 'Sources',
    summary: 'One source',
    params: sourceParams,
    answer: resources.Source,
    problems: ['UNKNOWN_SOURCE'],
  }),
  listQuarantine: endpoint({
    method: 'GET',
    path: '/api/v1/sources/:id/quarantine',
    tag: 'Sources',
    summary: 'The newest frames that were refused, with reasons',
    params: sourceParams,
    answer: Type.Array(resources.QuarantinedFrame),
    problems: ['UNKNOWN_SOURCE'],
  }),
  restartSource: endpoint({
    method: 'POST',
    path: '/api/v1/sources/:id/restart',
    tag: 'Sources',
    summary: 'Drop the connection and connect anew',
    params: sourceParams,
    answer: resources.Source,
    problems: ['UNKNOWN_SOURCE', 'WRONG_STATE'],
  }),
  pauseSource: endpoint({
    method: 'POST',
    path: '/api/v1/sources/:id/pause',
    tag: 'Sources',
    summary: 'Disconnect until resumed; its instruments go stale',
    params: sourceParams,
    answer: resources.Source,
    problems: ['UNKNOWN_SOURCE', 'WRONG_STATE'],
  }),
  resumeSource: endpoint({
    method: 'POST',
    path: '/api/v1/sources/:id/resume',
    tag: 'Sources',
    summary: 'Connect a paused source again',
    params: sourceParams,
    answer: resources.Source,
    problems: ['UNKNOWN_SOURCE', 'WRONG_STATE'],
  }),
  listInstruments: endpoint({
    method: 'GET',
    path: '/api/v1/instruments',
    tag: 'Instruments',
    summary: 'All instruments with their newest price',
    answer: Type.Array(resources.Instrument),
    problems: [],
  }),
  getInstrument: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id',
    tag: 'Instruments',
    summary: 'One instrument',
    params: instrumentParams,
    answer: resources.Instrument,
    problems: ['UNKNOWN_INSTRUMENT'],
  }),
  getCandles: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/candles',
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
    answer: resources.CandleFrame,
    problems: ['UNKNOWN_INSTRUMENT', 'UNKNOWN_INTERVAL', 'BAD_TIME', 'BAD_REQUEST'],
  }),
  getTrades: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/trades',
    tag: 'Instruments',
    summary: 'Trades, oldest first, digit for digit',
    params: instrumentParams,
    query: Type.Object({
      from: Type.Optional(Time('First trade')),
      to: Type.Optional(Time('Trades before this')),
      limit: Type.Optional(Limit(ROWS_MAX, ROWS_USUAL)),
    }),
    answer: resources.TradeFrame,
    problems: ['UNKNOWN_INSTRUMENT', 'BAD_TIME', 'BAD_REQUEST'],
  }),
  getReadings: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/readings',
    tag: 'Instruments',
    summary: 'Named readings of a feed that is no market',
    params: instrumentParams,
    query: Type.Object({
      name: Type.Optional(Type.String({ maxLength: 128, description: 'Only readings of this name.' })),
      from: Type.Optional(Time('First reading')),
      to: Type.Optional(Time('Readings before this')),
      limit: Type.Optional(Limit(ROWS_MAX, ROWS_USUAL)),
    }),
    answer: resources.ReadingFrame,
    problems: ['UNKNOWN_INSTRUMENT', 'BAD_TIME', 'BAD_REQUEST'],
  }),
  getQuote: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/quote',
    tag: 'Instruments',
    summary: 'Best bid and ask',
    params: instrumentParams,
    answer: resources.QuoteResource,
    problems: ['UNKNOWN_INSTRUMENT', 'NO_DATA'],
  }),
  getBook: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/book',
    tag: 'Instruments',
    summary: 'The order book',
    params: instrumentParams,
    query: Type.Object({ depth: Type.Optional(Type.Integer({ minimum: 1, maximum: 5_000, default: 20 })) }),
    answer: resources.BookResource,
    problems: ['UNKNOWN_INSTRUMENT', 'NO_DATA', 'BAD_REQUEST'],
  }),
  getQuality: endpoint({
    method: 'GET',
    path: '/api/v1/instruments/:id/quality',
    tag: 'Instruments',
    summary: 'Gaps, duplicates, late trades, outliers and what else was noticed',
    params: instrumentParams,
    answer: resources.Quality,
    problems: ['UNKNOWN_INSTRUMENT'],
  }),
  listDeadLetters: endpoint({
    method: 'GET',
    path: '/api/v1/dead-letters',
    tag: 'Log',
    summary: 'Events that a consumer could not take',
    answer: Type.Array(resources.DeadLetter),
    problems: [],
  }),
  replayDeadLetter: endpoint({
    method: 'POST',
    path: '/api/v1/dead-letters/:id/replay',
    tag: 'Log',
    summary: 'Hand a dead letter to its consumer again',
    params: Type.Object({ id: Type.Integer() }),
    answer: Type.Object({ replayed: Type.Boolean() }),
    problems: ['NOT_FOUND', 'WRONG_STATE'],
  }),
  ...WORLD_ENDPOINTS,
  stream: endpoint({
    method: 'GET',
    path: '/api/v1/stream',
    tag: 'Streams',
    summary: 'Live events of channels as server-sent events',
    query: Type.Object({
      channels: Type.String({ description: 'Channel names, separated by commas.', examples: ['trades:binance:BTC-USDT,tickers'] }),
      lastEventId: Type.Optional(Type.String({ description: 'Resume after this position; the header Last-Event-ID does the same.' })),
    }),
    answer: Type.String(),
    contentType: 'text/event-stream',
    problems: ['BAD_CHANNEL', 'BAD_POSITION', 'UNKNOWN_INSTRUMENT', 'TOO_MANY_CONNECTIONS'],
  }),
  live: endpoint({
    method: 'GET',
    path: '/health/live',
    tag: 'Health',
    summary: 'Whether the process runs',
    answer: resources.Health,
    problems: [],
  }),
  ready: endpoint({
    method: 'GET',
    path: '/health/ready',
    tag: 'Health',
    summary: 'Whether the process serves',
    answer: resources.Health,
    problems: [],
  }),
} as const;
export type EndpointName = keyof typeof ENDPOINTS;
