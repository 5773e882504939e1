import { Type } from 'typebox';
import { endpoint } from '../endpoint.ts';
import { DateTime, TimeParameter } from '../instant.ts';
import { listOf, PageQuery, RowOrder } from '../page.ts';
import type { ProblemCode } from '../problem.ts';
import { InstrumentId } from './instrument.ts';
import { Interval } from './interval.ts';
import * as resources from './resources.ts';

const instrumentParams = Type.Object({
  id: {
    ...InstrumentId,
    'x-problem': 'UNKNOWN_INSTRUMENT' satisfies ProblemCode,
    'x-remedy': 'An instrument id is venue:BASE-QUOTE. GET /api/v1/instruments lists all instruments.',
  },
});
/** Maximum number of rows in one response: about 2 MB of JSON. */
export const ROWS_MAX = 20_000;
const ROWS_DEFAULT = 500;

/** Query parameters of a time series. @param whichTimes text for the descriptions of `from` and `to`: the times that the range selects by */
const seriesQuery = (whichTimes: string) => ({
  from: Type.Optional(TimeParameter(`Start of the range${whichTimes}, inclusive`)),
  to: Type.Optional(TimeParameter(`End of the range${whichTimes}, exclusive`)),
  order: Type.Optional(RowOrder),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: ROWS_MAX,
      default: ROWS_DEFAULT,
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
/** Guarantee for reading a time series page by page. */
const PAGES = 'The pages of a range contain each row exactly once. Rows that arrive meanwhile do not cause missing or repeated rows.';

/** Cache rule of market data: an event of the instrument invalidates the response, and its age is bounded in any case. */
const ofInstrument = { about: 'instrument:{id}', maxAgeMs: 1_000, staleMs: 4_000 };

export const MARKET_ENDPOINTS = {
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
} as const;
