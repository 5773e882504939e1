import { type EventLog, type ReactorParts, requireOffsets } from '@millrace/log';

/** Offsets of a reactor, stored with the log that it reads. A new reactor begins with the oldest events of the log. */
export function reactorOffsets(log: EventLog, group: string): Pick<ReactorParts<never>, 'offsets' | 'saveOffsets' | 'wasDead'> {
  const stored = async (): Promise<Map<number, number>> => {
    const known = await log.consumers.find(group);
    // It is registered before it has offsets.
    const offsets = known && known.offsets.length > 0 ? known.offsets : log.stats().partitions.map(({ start }) => start);
    return new Map(offsets.entries());
  };
  return {
    wasDead: (zone, seq) => log.deadLetters.wasPut(group, zone, seq),
    offsets: stored,
    saveOffsets: async (read) => {
      if (read.length === 0) return;
      const offsets = await stored();
      requireOffsets(group, offsets, read);
      for (const { partition, next } of read) offsets.set(partition, next);
      await log.consumers.note(
        group,
        Array.from({ length: log.partitions }, (_none, partition) => offsets.get(partition) ?? 0),
      );
    },
  };
}
