import { DrizzleQueryError } from 'drizzle-orm';

/** What is wrong with a query, without the query: its parameters may be tokens and addresses, which belong in no answer and no log. */
export function failureReason(error: unknown): string {
  if (error instanceof DrizzleQueryError) return error.cause?.message || 'the database did not answer';
  return error instanceof Error ? error.message : String(error);
}

/** Whether a query failed for what the database is, and not for what it was asked: PostgreSQL’s classes 08, 53, 57 and 58, or no answer of its at all. */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof DrizzleQueryError)) return false;
  const { code = '', severity } = (error.cause ?? {}) as { code?: string; severity?: string };
  // PostgreSQL’s codes have five characters, and a digit among them: EPIPE is none of them.
  const isOfDatabase = /^(?=.*\d)[0-9A-Z]{5}$/.test(code);
  // A fatal error is about the connection: there is none, or none any more.
  return severity === 'FATAL' || !isOfDatabase || /^(08|53|57|58)/.test(code);
}
