import { type Clock, within } from '@millrace/kernel';
import { type EventLog, OffsetBeyondEnd } from './event-log.ts';
import type { Projection } from './projection.ts';

/** Time limit of a read, ms. A read that takes longer is retried. */
export const READ_MS_MAX = 10_000;
/** Time between two attempts, ms. */
const RETRY_MS = 500;

/**
 * The offsets of a group in the store of its projection, by partition; 0 where it has none.
 * @throws OffsetBeyondEnd when the store is ahead of the log, or was: the log has grown since, and has other events at these offsets
 */
export async function storedOffsets(
  projection: Pick<Projection, 'name' | 'offsets'>,
  log: Pick<EventLog, 'ends' | 'consumers'>,
  clock: Clock,
): Promise<number[]> {
  const { name } = projection;
  const known = await within(clock, READ_MS_MAX, `the store of ${name}`, projection.offsets());
  const before = (await log.consumers.find(name))?.beyondEnd ?? [];
  const ofLog = await within(clock, READ_MS_MAX, 'the log', log.ends());
  const found = ofLog.map((endOfLog, partition) => {
    const next = known.get(partition) ?? 0;
    const end = Math.min(endOfLog, before[partition] ?? endOfLog);
    return { partition, next, end, isBeyond: next > end };
  });
  const ends = found.map(({ end, isBeyond }) => (isBeyond ? end : null));
  await log.consumers.noteBeyondEnd(name, ends);
  const [first] = found.filter(({ isBeyond }) => isBeyond);
  if (first) throw new OffsetBeyondEnd(name, first.partition, first.next, first.end);
  return found.map(({ next }) => next);
}

/** Number of events in the log from the offsets of a group on, over all partitions. */
export function lagOf(log: Pick<EventLog, 'stats'>, offsets: readonly number[]): number {
  return log.stats().partitions.reduce((sum, { end }, partition) => sum + end - (offsets[partition] ?? 0), 0);
}

/** The ends of the log. Waits until they can be read. @returns null when the reader is stopped before */
export async function readEnds(log: Pick<EventLog, 'ends'>, clock: Clock, isStopped: () => boolean): Promise<readonly number[] | null> {
  while (!isStopped()) {
    try {
      return await within(clock, READ_MS_MAX, 'the log', log.ends());
    } catch {
      // The group reports that the log cannot be read.
      await new Promise<void>((resolve) => void clock.after(RETRY_MS, resolve));
    }
  }
  return null;
}
