import { ENDPOINTS, type InstrumentId, type ReadingRow, type RowOrder, rfc3339Of, type TradeRow } from '@millrace/contracts';
import { ApiProblem, type Routes } from '@millrace/http';
import { readCandles } from './candles.ts';
import type { History } from './history.ts';
import type { Instrument } from './instrument.ts';
import { type KnownInstrument, knownInstrument } from './known-instrument.ts';
import { type PageRequest, readPage } from './pages.ts';
import { describeBook, describeInstrument, describeQuality, describeQuote, timeOrNull } from './views.ts';

const ROWS_USUAL = 500;
const DEPTH_USUAL = 20;

/** What the routes of the market need from their process. */
export interface MarketReads {
  readonly series: History;
  instrument(id: InstrumentId): Instrument | undefined;
  instruments(): Iterable<readonly [InstrumentId, Instrument]>;
  /** Resolves when the store has all events that are in the log at the call. */
  caughtUp(): Promise<void>;
}

export function marketRoutes(routes: Routes, reads: MarketReads): void {
  routes.list(
    ENDPOINTS.listInstruments,
    ({ id }) => id,
    () => [...reads.instruments()].map(([id, state]) => describeInstrument(id, state)),
  );
  routes.handle(ENDPOINTS.getInstrument, ({ params }) => describeInstrument(params.id, requireInstrument(reads, params.id)));
  routes.handle(ENDPOINTS.getCandles, async ({ params, query }) => {
    const state = await requireKept(reads, params.id);
    await reads.caughtUp();
    return readCandles(params.id, state, reads.series, {
      interval: query.interval ?? '1m',
      ...rangeOf(query),
      page: pageRequestOf(query),
      asOf: query.asOf,
    });
  });
  routes.handle(ENDPOINTS.getTrades, async ({ params, query }) => {
    const { status, asOf } = await requireKept(reads, params.id);
    await reads.caughtUp();
    const range = rangeOf(query);
    const request = pageRequestOf(query);
    const page = await readPage(
      request,
      (limit, after) => reads.series.trades({ instrument: params.id, ...range, order: request.order, limit, ...(after && { after }) }),
      ({ time, order, arrival }) => [time, order, arrival],
    );
    const rows = page.rows.map(({ time, price, quantity, side, id }): TradeRow => [time, price, quantity, side, id]);
    return {
      instrument: params.id,
      status,
      updatedAt: timeOrNull(asOf),
      columns: ['time', 'price', 'quantity', 'side', 'id'],
      ...page,
      rows,
    };
  });
  routes.handle(ENDPOINTS.getReadings, async ({ params, query }) => {
    const { status, asOf } = await requireKept(reads, params.id);
    await reads.caughtUp();
    const range = { ...rangeOf(query), ...(query.name !== undefined && { name: query.name }) };
    const request = pageRequestOf(query);
    const page = await readPage(
      request,
      (limit, after) => reads.series.readings({ instrument: params.id, ...range, order: request.order, limit, ...(after && { after }) }),
      ({ time, arrival }) => [time, 0, arrival],
    );
    const rows = page.rows.map(({ time, name, value }): ReadingRow => [time, name, value]);
    return { instrument: params.id, status, updatedAt: timeOrNull(asOf), columns: ['time', 'name', 'value'], ...page, rows };
  });
  routes.handle(ENDPOINTS.getQuote, ({ params }) => {
    const quote = describeQuote(params.id, requireInstrument(reads, params.id));
    if (!quote)
      throw new ApiProblem('NO_DATA', `No quote of "${params.id}" received yet.`, 'Add "quotes" to the channels of its source, or wait.');
    return quote;
  });
  routes.handle(ENDPOINTS.getBook, ({ params, query }) => {
    const book = describeBook(params.id, requireInstrument(reads, params.id), query.depth ?? DEPTH_USUAL);
    if (!book)
      throw new ApiProblem(
        'NO_DATA',
        `No order book of "${params.id}" received yet.`,
        'Add "book" to the channels of its source, or wait.',
      );
    return book;
  });
  routes.handle(ENDPOINTS.getQuality, ({ params }) => describeQuality(params.id, requireInstrument(reads, params.id)));
}

function requireInstrument(reads: MarketReads, id: InstrumentId): Instrument {
  return reads.instrument(id) ?? refuseUnknown(id);
}

/** An instrument, also one whose source was removed. */
async function requireKept(reads: MarketReads, id: InstrumentId): Promise<KnownInstrument> {
  return (await knownInstrument(reads, id)) ?? refuseUnknown(id);
}

function refuseUnknown(id: InstrumentId): never {
  throw new ApiProblem('UNKNOWN_INSTRUMENT', `Unknown instrument "${id}".`, 'GET /api/v1/instruments lists all instruments.');
}

function rangeOf({ from = Number.MIN_SAFE_INTEGER, to = Number.MAX_SAFE_INTEGER }: { from?: number; to?: number }) {
  if (from > to) throw new ApiProblem('INVALID_TIME', `from (${rfc3339Of(from)}) is later than to (${rfc3339Of(to)}).`, 'Swap them.');
  return { from, to };
}

function pageRequestOf({ order = 'desc', limit = ROWS_USUAL, cursor }: { order?: RowOrder; limit?: number; cursor?: string }): PageRequest {
  return { order, limit, cursor };
}
