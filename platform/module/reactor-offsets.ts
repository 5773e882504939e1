import type { EventLog, ReactorParts } from '@millrace/log';

/** Offsets of a reactor, stored with the log that it reads. A new reactor begins with the oldest events of the log. */
export function reactorOffsets(log: EventLog, group: string): Pick<ReactorParts<never>, 'offsets' | 'saveOffsets' | 'wasDead'> {
  const initial = () => log.stats().partitions.map(({ start }) => start);
  return {
    wasDead: (zone, seq) => log.deadLetters.wasPut(group, zone, seq),
    offsets: async () => {
      const known = await log.consumers.find(group);
      // It is registered before it has offsets.
      const offsets = known && known.offsets.length > 0 ? known.offsets : initial();
      return new Map(offsets.entries());
    },
    saveOffsets: async (read) => {
      if (read.length > 0) await log.consumers.advance(group, read, initial());
    },
  };
}
