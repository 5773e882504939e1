import type { Problem } from '@millrace/contracts';

/** What the server refused, in its own words; or that it could not be reached (`code` UNREACHABLE, `status` 0). */
export class MillraceError extends Error {
  /** Of the catalogue at /problems, such as UNKNOWN_INSTRUMENT. */
  readonly code: string;
  /** HTTP status; 0 where there was no answer, or where it came over a stream. */
  readonly status: number;
  /** What to do about it. */
  readonly remedy: string;
  /** The request’s trace id, by which the server’s log knows it; empty where there was no answer. */
  readonly trace: string;

  constructor({ code, detail, status, remedy, traceId = '' }: Pick<Problem, 'code' | 'detail' | 'status' | 'remedy' | 'traceId'>) {
    super(detail);
    this.name = 'MillraceError';
    this.code = code;
    this.status = status;
    this.remedy = remedy;
    this.trace = traceId;
  }
}

/** Reads what a response refuses with. */
export async function errorOf(response: Response): Promise<MillraceError> {
  const { status } = response;
  const problem = (await response.json().catch(() => null)) as Problem | null;
  return new MillraceError(
    problem?.code ? problem : { code: 'UNEXPECTED', detail: `The server answered ${status}.`, status, remedy: 'See what stands between.' },
  );
}

/** That there was no answer. */
export function unreachable(detail: string): MillraceError {
  return new MillraceError({ code: 'UNREACHABLE', detail, status: 0, remedy: 'Check the address and the network, and try again.' });
}

/** What was thrown, where nobody knows by what: a MillraceError as it is, anything else as UNREACHABLE. */
export function asError(thrown: unknown): MillraceError {
  return thrown instanceof MillraceError ? thrown : unreachable(thrown instanceof Error ? thrown.message : String(thrown));
}

/** Codes of refusals that will not last. Over a stream they come without a status. */
const PASSING = new Set([
  'RATE_LIMITED',
  'TOO_MANY_CONNECTIONS',
  'DATABASE_UNAVAILABLE',
  'HISTORY_UNAVAILABLE',
  'ZONE_UNAVAILABLE',
  'NO_SERVER_AVAILABLE',
  'INTERNAL_ERROR',
]);

/** Whether the same request would be refused again, whenever it is made: what is wrong is the request, or who makes it. */
export function isFinal({ code, status }: MillraceError): boolean {
  return (
    code === 'LOCKED_OUT' ||
    (status === 0 ? code !== 'UNREACHABLE' && !PASSING.has(code) : status < 500 && status !== 408 && status !== 429)
  );
}
