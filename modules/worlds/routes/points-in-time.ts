import { rfc3339Of, type ZoneId, type ZoneRecord } from '@millrace/contracts';
import { ApiProblem } from '@millrace/http';
import type { PointInTime } from '@millrace/kernel';
import { NotOnRecord, type RecordedTimes, recordOf, type WorldRecord } from '../record/past.ts';

/** Largest number of older snapshots that a refusal names. */
const OLDER_MAX = 5;

/**
 * The point in time of a request; null when it requests the live state.
 * @throws ApiProblem BAD_REQUEST, INVALID_TIME
 */
export function pointInTimeOf({ seq, time }: { seq?: number | undefined; time?: number | undefined }): PointInTime | null {
  if (seq !== undefined && time !== undefined)
    throw new ApiProblem('BAD_REQUEST', `Both seq=${seq} and the time ${rfc3339Of(time)} were given.`, 'Give one of them.');
  if (seq !== undefined) return { seq };
  if (time === undefined) return null;
  requirePast(time);
  return { time };
}

/** @throws ApiProblem INVALID_TIME */
export function requirePast(time: number): void {
  if (time > Date.now()) throw new ApiProblem('INVALID_TIME', `${rfc3339Of(time)} is in the future.`, 'Give a past time.');
}

/**
 * Runs a read of past states and returns its result.
 * @throws ApiProblem POINT_IN_TIME_UNAVAILABLE when the record does not have them; it names the states that are available
 */
export async function readPast<T>(record: WorldRecord, zone: ZoneId, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof NotOnRecord)) throw error;
    const message = `The state of zone ${zone} at that time is not available: ${error.message}.`;
    throw new ApiProblem('POINT_IN_TIME_UNAVAILABLE', message, availableText(await recordOf(record, zone)));
  }
}

function availableText({ from, to, snapshots }: RecordedTimes): string {
  const older = snapshots.length > 0 ? ` Before that there are snapshots of ${snapshots.slice(-OLDER_MAX).map(pointText).join(', ')}.` : '';
  return from
    ? `Use a time or seq from ${pointText(from)} to ${to ? pointText(to) : 'now'}.${older}`
    : `No other state is available.${older}`;
}

function pointText({ seq, time }: { seq: number; time: number }): string {
  return `event ${seq} (${new Date(time).toISOString()})`;
}

/** The states of a zone that are available, as a resource. */
export function recordResource({ zone, from, to, snapshots }: RecordedTimes): ZoneRecord {
  const resourceOf = ({ seq, time }: { seq: number; time: number }) => ({ seq, stateAt: time });
  return { zone, from: from && resourceOf(from), to: to && resourceOf(to), snapshots: snapshots.map(resourceOf) };
}
