import { ApiProblem } from '@millrace/http';

const DAY_MS = 86_400_000;

/** How long API keys are valid, days. */
export interface KeyDays {
  /** Used when the request has no expiry. */
  readonly usual: number;
  readonly most: number;
}

/**
 * The expiry of a new API key, epoch ms.
 * @param requested expiry that the request names, epoch ms
 * @throws ApiProblem BAD_REQUEST for a time in the past, or more than the maximum ahead
 */
export function expiryOf(requested: number | undefined, now: number, { usual, most }: KeyDays): number {
  if (requested === undefined) return now + Math.min(usual, most) * DAY_MS;
  if (requested <= now)
    throw new ApiProblem(
      'BAD_REQUEST',
      `${new Date(requested).toISOString()} is in the past.`,
      'Give a future time in RFC 3339, for example 2027-01-31T00:00:00Z.',
    );
  if (requested > now + most * DAY_MS)
    throw new ApiProblem(
      'BAD_REQUEST',
      `${new Date(requested).toISOString()} is more than ${most} days in the future.`,
      `Give an earlier time, or raise accounts.keyDaysMax.`,
    );
  return requested;
}
