import { Type } from 'typebox';
import { timeOf } from './time.ts';

/*
 * Times of resources. The server computes with epoch ms; in JSON they are RFC 3339 strings in UTC with milliseconds, such as
 * 2026-11-25T04:00:00.000Z, in properties whose names end in `At`. Rows of time series and market events keep epoch ms.
 */

declare const instant: unique symbol;
declare const timeArgument: unique symbol;

/** Time of a resource, epoch ms. An RFC 3339 string in JSON. */
export type Instant = number & { readonly [instant]?: true };

/** Time in a query parameter, epoch ms. Callers send epoch ms, RFC 3339 or an ISO 8601 date. */
export type TimeArgument = number & { readonly [timeArgument]?: true };

/** First and last millisecond that RFC 3339 can write, epoch ms. */
const EARLIEST = -62_167_219_200_000;
const LATEST = 253_402_300_799_999;

/** Schema of a time in a resource or a request body. */
export const DateTime = (description: string) =>
  Type.Unsafe<Instant>({ type: 'string', format: 'date-time', description, examples: ['2026-11-25T04:00:00.000Z'] });

/** Schema of a query parameter with a time. */
export const TimeParameter = (description: string) =>
  Type.Unsafe<TimeArgument>({
    type: 'string',
    maxLength: 64,
    description: `${description}: epoch ms, RFC 3339, or an ISO 8601 date or time (UTC if it has no offset).`,
    examples: ['1633998480000', '2021-10-12T00:28:00Z'],
    'x-time': true,
  });

/** A value as clients send and receive it: times of resources are RFC 3339 strings. */
export type Wire<T> = T extends number
  ? typeof instant extends keyof T
    ? string
    : typeof timeArgument extends keyof T
      ? string | number
      : T
  : T extends string | boolean | null | undefined
    ? T
    : T extends object
      ? { [K in keyof T]: Wire<T[K]> }
      : T;

/** RFC 3339 in UTC with milliseconds. @param time epoch ms */
export function rfc3339Of(time: number): string {
  return new Date(Math.min(Math.max(time, EARLIEST), LATEST)).toISOString();
}

const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/** True for a valid time in the format of RFC 3339, section 5.6. */
export function isRfc3339(text: string): boolean {
  return RFC_3339.test(text) && !Number.isNaN(timeOf(text));
}
