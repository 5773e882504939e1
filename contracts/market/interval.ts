import { Type } from 'typebox';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** All candle intervals and their lengths in milliseconds, shortest first. All are aligned to UTC. */
export const INTERVAL_MS = {
  '1s': SECOND,
  '5s': 5 * SECOND,
  '10s': 10 * SECOND,
  '30s': 30 * SECOND,
  '1m': MINUTE,
  '3m': 3 * MINUTE,
  '5m': 5 * MINUTE,
  '15m': 15 * MINUTE,
  '30m': 30 * MINUTE,
  '1h': HOUR,
  '2h': 2 * HOUR,
  '4h': 4 * HOUR,
  '6h': 6 * HOUR,
  '12h': 12 * HOUR,
  '1d': DAY,
  '3d': 3 * DAY,
  '1w': 7 * DAY,
} as const;

export type Interval = keyof typeof INTERVAL_MS;

export const INTERVALS = Object.keys(INTERVAL_MS) as Interval[];

export const Interval = Type.Unsafe<Interval>(
  Type.Enum(INTERVALS, { description: 'Length of a candle, aligned to UTC. Weeks start on Monday.', examples: ['1m'] }),
);

/** True if a value is the name of a candle interval. */
export function isInterval(text: unknown): text is Interval {
  return typeof text === 'string' && Object.hasOwn(INTERVAL_MS, text);
}

/** First Monday after 1970-01-01, which was a Thursday. Weeks are counted from it. */
const FIRST_MONDAY_MS = 4 * DAY;

/** Opening time (epoch ms) of the candle that contains `time`. */
export function openingOf(time: number, interval: Interval): number {
  const length = INTERVAL_MS[interval];
  const origin = interval === '1w' ? FIRST_MONDAY_MS : 0;
  return Math.floor((time - origin) / length) * length + origin;
}
