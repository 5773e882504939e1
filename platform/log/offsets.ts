import { type ReadRange, requireOffsets } from '@millrace/base/offsets';
import { type Clock, within } from '@millrace/kernel';
import { type EventLog, OffsetBeyondEnd } from './event-log.ts';
import type { Projection } from './projection.ts';

/** Time limit of a read, ms. A read that takes longer is retried. */
export const READ_MS_MAX = 10_000;
/** Time between two attempts, ms. */
const RETRY_MS = 500;

interface StoredOffsets {
  /** By partition; 0 where the store has none. */
  readonly offsets: number[];
  /** Partitions whose ends are not known now, so that the store may be ahead of them. They must not be read. */
  readonly unknown: readonly number[];
}

/**
 * The offsets of a group in the store of its projection.
 * @throws OffsetBeyondEnd when the store is ahead of the log, or was: the log has grown since, and has other events at these offsets
 */
export async function storedOffsets(
  projection: Pick<Projection, 'name' | 'offsets'>,
  log: Pick<EventLog, 'ends' | 'confirmedEnds' | 'consumers'>,
  clock: Clock,
): Promise<StoredOffsets> {
  const { name } = projection;
  const known = await within(clock, READ_MS_MAX, `the store of ${name}`, projection.offsets());
  const before = (await log.consumers.find(name))?.beyondEnd ?? [];
  const told = await within(clock, READ_MS_MAX, 'the log', log.ends());
  const offsets = told.map((_end, partition) => known.get(partition) ?? 0);
  const isBehind = (end: number | null | undefined, partition: number) => (end ?? Number.POSITIVE_INFINITY) < (offsets[partition] ?? 0);
  const isDoubtful = told.map((end, partition) => isBehind(end, partition));
  // That the store is ahead is final, so it must not follow from an old end.
  const confirm = isDoubtful.includes(true) ? log.confirmedEnds?.bind(log) : undefined;
  const confirmed = confirm ? await within(clock, READ_MS_MAX, 'the log', confirm()) : told;
  const ends = told.map((end, partition) => (isDoubtful[partition] ? (confirmed[partition] ?? null) : end));
  const beyond = ends.map((end, partition) => {
    const ofBefore = before[partition] ?? null;
    if (isBehind(ofBefore, partition)) return Math.min(ofBefore ?? 0, end ?? Number.POSITIVE_INFINITY);
    return isBehind(end, partition) ? end : null;
  });
  await log.consumers.noteBeyondEnd(name, beyond);
  for (const [partition, end] of beyond.entries())
    if (end !== null) throw new OffsetBeyondEnd(name, partition, offsets[partition] ?? 0, end);
  const unknown = ends.flatMap((end, partition) => (end === null && (offsets[partition] ?? 0) > 0 ? [partition] : []));
  return { offsets, unknown };
}

/**
 * The offsets of a group after ranges were read.
 * @param initial offsets of a group that has saved none
 * @throws OffsetsChanged when an offset is not the start of its range
 */
export function advancedOffsets(group: string, saved: readonly number[], read: readonly ReadRange[], initial: readonly number[]): number[] {
  const offsets = new Map((saved.length > 0 ? saved : initial).entries());
  requireOffsets(group, offsets, read);
  for (const { partition, next } of read) offsets.set(partition, next);
  return Array.from({ length: Math.max(-1, ...offsets.keys()) + 1 }, (_none, partition) => offsets.get(partition) ?? 0);
}

/** Why a group does not read some partitions; null without any. */
export function unknownEnds(group: string, partitions: readonly number[]): string | null {
  if (partitions.length === 0) return null;
  const which =
    partitions.length === 1 ? `the end of partition ${partitions[0]} is` : `the ends of the partitions ${partitions.join(', ')} are`;
  return `${which} not known, so that they are not read: the store of ${group} may be ahead of the log`;
}

/** Number of events in the log from the offsets of a group on, over all partitions that count and whose ends are known. */
export function lagOf(
  log: Pick<EventLog, 'stats'>,
  offsets: readonly number[],
  isCounted: (partition: number) => boolean = () => true,
): number {
  const lag = (end: number, partition: number) => (isCounted(partition) ? Math.max(0, end - (offsets[partition] ?? 0)) : 0);
  return log.stats().partitions.reduce((sum, { end }, partition) => sum + lag(end, partition), 0);
}

/** The ends of the log. Waits until they can be read. @returns null when the reader is stopped before */
export async function readEnds(log: Pick<EventLog, 'ends'>, clock: Clock, isStopped: () => boolean): Promise<readonly number[] | null> {
  while (!isStopped()) {
    try {
      const ends = await within(clock, READ_MS_MAX, 'the log', log.ends());
      if (ends.every((end) => end !== null)) return ends;
    } catch {
      // The group reports that the log cannot be read.
    }
    await new Promise<void>((resolve) => void clock.after(RETRY_MS, resolve));
  }
  return null;
}
