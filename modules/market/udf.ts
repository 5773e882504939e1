import { INTERVAL_MS, type InstrumentId, type Interval, isInstrumentId } from '@millrace/contracts';
import { ApiProblem } from '@millrace/http';
import type { FastifyInstance } from 'fastify';
import { readCandles } from './candles.ts';
import { knownInstrument } from './known-instrument.ts';
import type { MarketReads } from './routes.ts';

/*
 * The Universal Data Feed protocol of the TradingView Charting Library, so that its charts can use Millrace as data feed.
 * Source: TradingView, "UDF". The protocol requires errors as responses with `s: "error"` and status 200.
 */

const RESOLUTIONS: Record<string, Interval> = {
  '1S': '1s',
  '5S': '5s',
  '10S': '10s',
  '30S': '30s',
  '1': '1m',
  '3': '3m',
  '5': '5m',
  '15': '15m',
  '30': '30m',
  '60': '1h',
  '120': '2h',
  '240': '4h',
  '360': '6h',
  '720': '12h',
  '1D': '1d',
  D: '1d',
  '3D': '3d',
  '1W': '1w',
  W: '1w',
};
const ROWS_MAX = 20_000;
const SEARCH_MAX = 50;
/** Times that a date can have, epoch ms (ECMAScript, "Time Values"). Later or earlier ones are out of the store's range, too. */
const TIME_MS_MAX = 8.64e15;
/** Characters of a parameter in an error. */
const SHOWN_CHARACTERS_MAX = 64;

type Query = Record<string, string | undefined>;

export function udfRoutes(app: FastifyInstance, reads: MarketReads): void {
  const get = (path: string, answer: (query: Query) => unknown) =>
    app.get(`/udf/${path}`, { config: { access: 'market:read' } }, async (request) => {
      try {
        return await answer(single(request.query as Record<string, unknown>));
      } catch (error) {
        if (error instanceof ApiProblem) return { s: 'error', errmsg: error.message };
        throw error;
      }
    });

  get('config', () => ({
    supported_resolutions: Object.keys(RESOLUTIONS).filter((name) => name !== 'D' && name !== 'W'),
    supports_group_request: false,
    supports_marks: false,
    supports_search: true,
    supports_timescale_marks: false,
    supports_time: true,
    exchanges: [{ value: '', name: 'All', desc: 'All sources' }, ...sourcesOf(reads).map((name) => ({ value: name, name, desc: name }))],
  }));
  get('time', () => Math.floor(Date.now() / 1_000));
  get('symbols', ({ symbol = '' }) => {
    const found = symbolOf(reads, symbol);
    return found ? symbolInfo(reads, found) : failure(`unknown symbol ${shown(symbol)}`);
  });
  get('search', ({ query = '', exchange = '', limit = '' }) =>
    [...reads.instruments()]
      .filter(([id, { listed }]) => id.toLowerCase().includes(query.toLowerCase()) && (exchange === '' || listed?.source === exchange))
      .slice(0, Math.min(countOf(limit) || SEARCH_MAX, SEARCH_MAX))
      .map(([id, { listed }]) => ({
        symbol: id,
        full_name: id,
        description: describe(id, listed?.simulated),
        exchange: listed?.source ?? '',
        ticker: id,
        type: 'crypto',
      })),
  );
  get('history', async ({ symbol = '', resolution = '', from = '', to = '', countback }) => {
    const id = symbolOf(reads, symbol);
    const interval = Object.hasOwn(RESOLUTIONS, resolution) ? RESOLUTIONS[resolution] : undefined;
    const [fromMs, toMs] = [timeOf(from), timeOf(to)];
    if (!id) return failure(`unknown symbol ${shown(symbol)}`);
    if (!interval) return failure(`unknown resolution ${shown(resolution)}; use one of ${Object.keys(RESOLUTIONS).join(', ')}`);
    if (fromMs === null || toMs === null) return failure(`from=${shown(from)} and to=${shown(to)} must be epoch seconds`);
    return history(reads, id, interval, fromMs, toMs, countOf(countback ?? ''));
  });
}

function failure(errmsg: string): { s: 'error'; errmsg: string } {
  return { s: 'error', errmsg };
}

function shown(text: string): string {
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}

/** @throws ApiProblem when a parameter is given more than once */
function single(query: Record<string, unknown>): Query {
  for (const [name, value] of Object.entries(query))
    if (typeof value !== 'string')
      throw new ApiProblem('BAD_REQUEST', `parameter "${shown(name)}" is given more than once`, 'Give it once.');
  return query as Query;
}

/** Epoch seconds as epoch ms, limited to the times of dates; null when the text is no number. */
function timeOf(seconds: string): number | null {
  const time = seconds.trim() === '' ? Number.NaN : Math.ceil(Number(seconds) * 1_000);
  return Number.isNaN(time) ? null : Math.min(Math.max(time, -TIME_MS_MAX), TIME_MS_MAX);
}

/** A positive integer; 0 when the text is none. */
function countOf(text: string): number {
  const count = Math.floor(Number(text));
  return Number.isFinite(count) && count > 0 ? count : 0;
}

async function history(
  reads: MarketReads,
  id: InstrumentId,
  interval: Interval,
  from: number,
  to: number,
  countback: number,
): Promise<object> {
  const state = await knownInstrument(reads, id);
  if (!state) return { s: 'error', errmsg: `unknown symbol ${id}` };
  await reads.caughtUp();
  // `countback` takes precedence over `from`: it requests that many bars before `to`, at any age.
  const range = {
    interval,
    from: countback > 0 ? Number.MIN_SAFE_INTEGER : from,
    to,
    page: { order: 'desc', limit: countback > 0 ? Math.min(countback, ROWS_MAX) : ROWS_MAX, cursor: undefined },
    asOf: undefined,
  } as const;
  const newestFirst = await readCandles(id, state, reads.series, range);
  const rows = newestFirst.rows.reverse();
  if (rows.length === 0) {
    // Where a chart that scrolls back continues: the newest candle before the requested range.
    const earlier = await readCandles(id, state, reads.series, {
      ...range,
      from: Number.MIN_SAFE_INTEGER,
      to: from,
      page: { ...range.page, limit: 1 },
    });
    const time = earlier.rows[0]?.[0];
    return time === undefined ? { s: 'no_data' } : { s: 'no_data', nextTime: time / 1_000 };
  }
  const column = (index: number) => rows.map((row) => row[index]);
  return {
    s: 'ok',
    t: rows.map((row) => (row[0] as number) / 1_000),
    o: column(1),
    h: column(2),
    l: column(3),
    c: column(4),
    v: column(5),
  };
}

function symbolInfo(reads: MarketReads, id: InstrumentId): object {
  const state = reads.instrument(id);
  return {
    symbol: id,
    ticker: id,
    name: id,
    full_name: id,
    description: describe(id, state?.listed?.simulated),
    exchange: state?.listed?.source ?? '',
    listed_exchange: state?.listed?.source ?? '',
    type: 'crypto',
    session: '24x7',
    timezone: 'Etc/UTC',
    minmov: 1,
    pricescale: 10 ** (state && state.newestAt > 0 ? state.priceDecimals : 2),
    has_intraday: true,
    has_seconds: true,
    has_daily: true,
    has_weekly_and_monthly: true,
    supported_resolutions: Object.keys(RESOLUTIONS),
    intraday_multipliers: Object.entries(RESOLUTIONS)
      .filter(([name, interval]) => /^\d+$/.test(name) && INTERVAL_MS[interval] < INTERVAL_MS['1d'])
      .map(([name]) => name),
    volume_precision: 8,
    data_status: state ? 'streaming' : 'endofday',
  };
}

function describe(id: InstrumentId, simulated: boolean | undefined): string {
  return simulated ? `${id} (simulated)` : id;
}

function symbolOf(reads: MarketReads, symbol: string): InstrumentId | undefined {
  return isInstrumentId(symbol) && (reads.instrument(symbol) || reads.series.has(symbol)) ? symbol : undefined;
}

function sourcesOf(reads: MarketReads): string[] {
  return [...new Set([...reads.instruments()].map(([, { listed }]) => listed?.source ?? ''))].filter((name) => name !== '');
}
