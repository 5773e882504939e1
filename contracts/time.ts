/** Format of a time: a number of these units since 1970, or ISO 8601. */
export type TimeUnit = 'ms' | 's' | 'us' | 'ns' | 'iso';

/** A time with nanosecond precision. */
export interface PreciseTime {
  /** Epoch ms, an integer. */
  readonly ms: number;
  /** Nanoseconds after that, 0 to 999,999. */
  readonly nanos: number;
}

/** Maximum distance of ECMAScript dates from 1970, before and after, ms. */
const DISTANCE_MS_MAX = 8.64e15;
/** Maximum length of a time. An integer of a million digits takes seconds to parse. */
const CHARACTERS_MAX = 64;
/** Decimal digits from each unit down to the nanosecond. */
const DIGITS = { s: 9, ms: 6, us: 3, ns: 0 } as const;
const NANOS_PER_MS = 1_000_000n;

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?$/;
const DATE = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?)?\s*(Z|[+-]\d{2}(?::?\d{2})?)?$/i;

/** Parses a time exactly. A date without a time zone is UTC. Null if it is not a valid time, such as 2021-02-30. */
export function preciseTimeOf(text: string, unit: TimeUnit): PreciseTime | null {
  if (text.length > CHARACTERS_MAX) return null;
  if (unit === 'iso') return dateOf(text);
  const match = NUMBER.exec(/[eE]/.test(text) ? plainOf(text) : text);
  if (!match) return null;
  const [, sign, whole = '', fraction = ''] = match;
  const digits = DIGITS[unit];
  const nanos = BigInt(`${sign}${whole}${fraction.slice(0, digits).padEnd(digits, '0')}`);
  const nanosBelowMs = ((nanos % NANOS_PER_MS) + NANOS_PER_MS) % NANOS_PER_MS;
  return validTime({ ms: Number((nanos - nanosBelowMs) / NANOS_PER_MS), nanos: Number(nanosBelowMs) });
}

/** Parses epoch ms or ISO 8601 to epoch ms. NaN if it is neither. A date without a time zone is UTC. */
export function timeOf(text: string): number {
  return (preciseTimeOf(text, NUMBER.test(text) ? 'ms' : 'iso') ?? { ms: Number.NaN }).ms;
}

function dateOf(text: string): PreciseTime | null {
  const match = DATE.exec(text);
  if (!match) return null;
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone = 'Z'] = match;
  const parts = [Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second)] as const;
  const date = new Date(Date.UTC(...parts));
  date.setUTCFullYear(parts[0]);
  const found = [
    date.getUTCFullYear(),
    date.getUTCMonth(),
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds(),
  ];
  if (found.some((part, index) => part !== parts[index])) return null;
  const nanos = Number(fraction.slice(0, 9).padEnd(9, '0'));
  const offset = offsetOf(zone);
  return offset === null ? null : validTime({ ms: date.getTime() + Math.floor(nanos / 1e6) - offset, nanos: nanos % 1e6 });
}

/** Offset of a time zone from UTC in ms. Null if it is not valid. */
function offsetOf(zone: string): number | null {
  if (/^z$/i.test(zone)) return 0;
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(3).replace(':', ''))];
  if (hours > 23 || minutes > 59) return null;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

/** Number without an exponent: 1.7e12 gives 1700000000000. */
function plainOf(text: string): string {
  const value = Number(text);
  return Math.abs(value) < 1e21 ? value.toLocaleString('en-US', { useGrouping: false, maximumFractionDigits: 12 }) : text;
}

function validTime(time: PreciseTime): PreciseTime | null {
  return Math.abs(time.ms) <= DISTANCE_MS_MAX ? time : null;
}
