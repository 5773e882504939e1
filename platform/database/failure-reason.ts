import { DrizzleQueryError } from 'drizzle-orm';

/** Reason of a failed query, without its text and parameters: they may be tokens and addresses, which no response or log may contain. */
export function failureReason(error: unknown): string {
  if (error instanceof DrizzleQueryError) return error.cause?.message || 'the database did not respond';
  return error instanceof Error ? error.message : String(error);
}

/** Whether a query failed because of the database, not of the query: PostgreSQL error classes 08, 53, 57 and 58, or no response. */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof DrizzleQueryError)) return false;
  const { code = '', severity } = (error.cause ?? {}) as { code?: string; severity?: string };
  // PostgreSQL codes have five characters, at least one of them a digit; so EPIPE is not one.
  const isPostgresCode = /^(?=.*\d)[0-9A-Z]{5}$/.test(code);
  // A fatal error concerns the connection: it was refused, or has ended.
  return severity === 'FATAL' || !isPostgresCode || /^(08|53|57|58)/.test(code);
}
