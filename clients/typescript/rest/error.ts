import type { Problem } from '@millrace/contracts';

/** What the server refused, in its own words; or that it could not be reached (`code` UNREACHABLE, `status` 0). */
export class MillraceError extends Error {
  /** Of the catalogue at /problems, such as UNKNOWN_INSTRUMENT. */
  readonly code: string;
  /** HTTP status; 0 where there was no answer. */
  readonly status: number;
  /** What to do about it. */
  readonly remedy: string;
  /** The request’s trace id, by which the server’s log knows it; empty where there was no answer. */
  readonly trace: string;

  constructor({ code, detail, status, remedy, instance = '' }: Pick<Problem, 'code' | 'detail' | 'status' | 'remedy' | 'instance'>) {
    super(detail);
    this.name = 'MillraceError';
    this.code = code;
    this.status = status;
    this.remedy = remedy;
    this.trace = instance;
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
