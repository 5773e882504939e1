import type { DeadLetter } from '@millrace/contracts';
import type { DeadLetterBox, LoggedBatch } from './event-log.ts';

/** Stores a batch as a dead letter. @returns false when it is stored already: the process died before it saved the offsets */
export async function storeDeadLetter(
  box: DeadLetterBox,
  group: string,
  { partition, offset, batch }: LoggedBatch,
  why: Pick<DeadLetter, 'reason' | 'createdAt' | 'resumeFrom'>,
): Promise<boolean> {
  const isKnown = box.list(group).some(({ zone, seq }) => zone === batch.zone && seq === batch.firstSeq);
  if (!isKnown) await box.put({ group, partition, offset, zone: batch.zone, seq: batch.firstSeq, ...why }, batch);
  return !isKnown;
}

/** Divides a batch into one event and the parts before and after it. */
export function splitAt({ partition, offset, batch }: LoggedBatch, index: number): { dead: LoggedBatch; rest: LoggedBatch[] } {
  const part = (from: number, to: number): LoggedBatch => ({
    partition,
    offset: offset + from,
    next: offset + to,
    batch: {
      ...batch,
      firstSeq: batch.firstSeq + from,
      events: batch.events.slice(from, to),
      metas: batch.metas?.slice(from, to) ?? null,
    },
  });
  const rest = [part(0, index), part(index + 1, batch.events.length)].filter((one) => one.batch.events.length > 0);
  return { dead: part(index, index + 1), rest };
}
