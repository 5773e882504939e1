import type {
  CandleFrame,
  Instrument,
  Interval,
  Problem,
  Quality,
  QuarantinedFrame,
  QuoteResource,
  Source,
  TradeFrame,
} from '@millrace/contracts';

/** What the server refused, in its own words. */
export class ApiError extends Error {
  readonly remedy: string;

  constructor(problem: Pick<Problem, 'detail' | 'remedy'>) {
    super(problem.detail);
    this.remedy = problem.remedy;
  }
}

async function ask<T>(path: string, method = 'GET'): Promise<T> {
  const response = await fetch(`/api/v1${path}`, { method });
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({ detail: `The server answered ${response.status}.`, remedy: '' }));
  throw new ApiError(problem);
}

const at = (id: string) => `/instruments/${encodeURIComponent(id)}`;

export const api = {
  instruments: () => ask<Instrument[]>('/instruments'),
  sources: () => ask<Source[]>('/sources'),
  candles: (id: string, interval: Interval, limit: number, to?: number) =>
    ask<CandleFrame>(`${at(id)}/candles?interval=${interval}&limit=${limit}${to === undefined ? '' : `&to=${to}`}`),
  trades: (id: string, limit: number) => ask<TradeFrame>(`${at(id)}/trades?limit=${limit}`),
  quote: (id: string) => ask<QuoteResource>(`${at(id)}/quote`),
  quality: (id: string) => ask<Quality>(`${at(id)}/quality`),
  quarantine: (id: string) => ask<QuarantinedFrame[]>(`/sources/${id}/quarantine`),
  command: (id: string, command: 'restart' | 'pause' | 'resume') => ask<Source>(`/sources/${id}/${command}`, 'POST'),
};
