import type { DeadLetterBox, LoggedBatch } from './event-log.ts';
import type { CannotApply } from './projection.ts';

/**
 * Stores the failed event of a batch, or the whole batch, as a dead letter. `isNew` is false when it was stored before: the process died before it saved
 * the offsets, or the log was read again.
 * @returns `rest`: the parts of the batch that are still to be applied
 */
export async function storeDeadLetter(
  box: DeadLetterBox,
  group: string,
  failed: LoggedBatch,
  { message: reason, only }: CannotApply,
  /** Time, epoch ms; and the generation in which this process has the partition, if processes share the group. */
  { createdAt, generation }: { readonly createdAt: number; readonly generation?: number | undefined },
): Promise<{ readonly isNew: boolean; readonly rest: readonly LoggedBatch[] }> {
  const { dead, rest } = only === undefined ? { dead: failed, rest: [] } : splitAt(failed, only.index);
  const { partition, offset, batch } = dead;
  const { zone, firstSeq: seq } = batch;
  const isNew = !(await box.has(group, zone, seq));
  const deadLetter = { group, partition, offset, zone, seq, reason, createdAt, ...(only && { resumeFrom: only.command }) };
  if (isNew) await box.put(deadLetter, batch, generation);
  return { isNew, rest };
}

/** Divides a batch into one event and the parts before and after it. */
function splitAt({ partition, offset, next, batch }: LoggedBatch, index: number): { dead: LoggedBatch; rest: LoggedBatch[] } {
  const part = (from: number, to: number): LoggedBatch => ({
    partition,
    // All events of a record have its offset in Kafka.
    offset: Math.min(offset + from, next - 1),
    next: Math.min(offset + to, next),
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
