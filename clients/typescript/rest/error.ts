import type { Problem } from '@millrace/contracts';

/** An error response of the server; or no response (`code` UNREACHABLE, `status` 0). */
export class MillraceError extends Error {
  /** A code of the catalogue at /problems, such as UNKNOWN_INSTRUMENT. */
  readonly code: string;
  /** HTTP status; 0 without a response, and for errors from a stream. */
  readonly status: number;
  /** What the caller can do. */
  readonly remedy: string;
  /** Trace id of the request in the server log; empty without a response. */
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

/** The error of a response that is not ok. */
export async function errorOf(response: Response): Promise<MillraceError> {
  const { status } = response;
  const problem = (await response.json().catch(() => null)) as Problem | null;
  return new MillraceError(
    problem?.code
      ? problem
      : {
          code: 'UNEXPECTED',
          detail: `The server returned status ${status}.`,
          status,
          remedy: 'Check the proxies between client and server.',
        },
  );
}

/** An error without a response. */
export function unreachable(detail: string): MillraceError {
  return new MillraceError({ code: 'UNREACHABLE', detail, status: 0, remedy: 'Check the address and the network, and try again.' });
}

/** Converts any thrown value to a MillraceError; values of other types become UNREACHABLE. */
export function asError(thrown: unknown): MillraceError {
  return thrown instanceof MillraceError ? thrown : unreachable(thrown instanceof Error ? thrown.message : String(thrown));
}

/** Codes of temporary errors. Needed for errors from a stream, which have no status. */
const TEMPORARY = new Set([
  'RATE_LIMITED',
  'TOO_MANY_CONNECTIONS',
  'DATABASE_UNAVAILABLE',
  'HISTORY_UNAVAILABLE',
  'ZONE_UNAVAILABLE',
  'NO_SERVER_AVAILABLE',
  'INTERNAL_ERROR',
]);

/** True if a retry would fail in the same way: the request or its credentials are wrong. */
export function isFinal({ code, status }: MillraceError): boolean {
  return (
    code === 'LOCKED_OUT' ||
    (status === 0 ? code !== 'UNREACHABLE' && !TEMPORARY.has(code) : status < 500 && status !== 408 && status !== 429)
  );
}
