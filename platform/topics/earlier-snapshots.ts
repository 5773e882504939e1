import { contradicts, lastSeqOf, type Snapshot, type ZoneHistory } from '@millrace/kernel';
import type { CarryingSnapshot } from '@millrace/log';

/**
 * Refuses snapshots of earlier versions that carry events which the log does not have. Those versions took snapshots before the log had all of their events;
 * a later owner may have continued without them.
 */
export function requireRecorded(log: ZoneHistory): (snapshot: Snapshot) => Promise<void> {
  return async ({ zone, position, unrecorded = [] }: CarryingSnapshot) => {
    const [first, last] = [unrecorded[0], unrecorded.at(-1)];
    if (!first || !last) return;
    for await (const batch of log.read(zone, first.firstSeq - 1, position)) {
      if (batch.loss || unrecorded.some((carried) => contradicts(carried, batch))) break;
      if (lastSeqOf(batch) >= lastSeqOf(last)) return;
    }
    throw new Error('the log lacks events that it carries, or has others in their place');
  };
}
