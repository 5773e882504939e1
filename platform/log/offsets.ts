import { type Clock, within } from '@millrace/kernel';
import { type EventLog, OffsetBeyondEnd } from './event-log.ts';
import type { Projection } from './projection.ts';

/** Time limit of a read, ms. A read that takes longer is retried. */
export const READ_MS_MAX = 10_000;

/**
 * The offsets of a group in the store of its projection, by partition; 0 where it has none.
 * @throws OffsetBeyondEnd when the store is ahead of the log
 */
export async function storedOffsets(
  projection: Pick<Projection, 'name' | 'offsets'>,
  log: Pick<EventLog, 'stats'>,
  clock: Clock,
): Promise<number[]> {
  const known = await within(clock, READ_MS_MAX, `the store of ${projection.name}`, projection.offsets());
  return log.stats().partitions.map(({ end }, partition) => {
    const next = known.get(partition) ?? 0;
    if (next > end) throw new OffsetBeyondEnd(projection.name, partition, next, end);
    return next;
  });
}

/** Number of events in the log from the offsets of a group on, over all partitions. */
export function lagOf(log: Pick<EventLog, 'stats'>, offsets: readonly number[]): number {
  return log.stats().partitions.reduce((sum, { end }, partition) => sum + end - (offsets[partition] ?? 0), 0);
}
