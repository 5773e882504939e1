import type { Reading } from '@millrace/contracts';

/** Number of newest readings of each name that are remembered: the minutes of a day, with reserve. Each takes 16 bytes. */
const RECENT_MAX = 2_000;

/** The newest readings of one name: unique times, ascending, and the value recorded last for each. */
interface RecentReadings {
  readonly times: number[];
  readonly values: number[];
}

export type RecentReadingsByName = Map<string, RecentReadings>;

export function recentReadingsOf(readings: readonly Reading[]): RecentReadingsByName {
  const byName: RecentReadingsByName = new Map();
  for (const reading of readings) rememberReading(byName, reading);
  return byName;
}

/** Whether a reading is recorded already: its time and value are those of a remembered one. Another value for the same time is a correction. */
export function isRecorded(byName: RecentReadingsByName, { name, time, value }: Reading): boolean {
  const recent = byName.get(name);
  if (!recent) return false;
  const at = firstFrom(recent.times, time);
  return recent.times[at] === time && recent.values[at] === value;
}

export function rememberReading(byName: RecentReadingsByName, { name, time, value }: Reading): void {
  const recent = byName.get(name) ?? { times: [], values: [] };
  byName.set(name, recent);
  const { times, values } = recent;
  const at = firstFrom(times, time);
  if (times[at] === time) {
    values[at] = value;
    return;
  }
  const isFull = times.length >= RECENT_MAX;
  if (isFull && at === 0) return;
  times.splice(at, 0, time);
  values.splice(at, 0, value);
  if (!isFull) return;
  times.shift();
  values.shift();
}

/** Forgets the readings after a time, epoch ms. */
export function forgetReadingsAfter(byName: RecentReadingsByName, time: number): void {
  for (const { times, values } of byName.values()) {
    while ((times.at(-1) ?? Number.NEGATIVE_INFINITY) > time) {
      times.pop();
      values.pop();
    }
  }
}

/** Index of the first time that is not before the given one. */
function firstFrom(times: readonly number[], time: number): number {
  let [low, high] = [0, times.length];
  // Most readings are the newest.
  if (high > 0 && (times[high - 1] ?? 0) < time) return high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((times[middle] ?? 0) < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
