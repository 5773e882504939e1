import type { EventBatch, Snapshot } from '@millrace/kernel';

/** A batch with the epoch of the owner that wrote it, if that is not the one that decided it. Logs and spools of earlier versions have it. */
export type WrittenBatch = EventBatch & { readonly writer?: number };

/** Epoch of the owner that wrote a batch. */
export function writerOf(batch: WrittenBatch): number {
  return batch.writer ?? batch.epoch;
}

/** A snapshot with the events that the log lacked when an earlier version took it. */
export type CarryingSnapshot = Snapshot & { readonly unrecorded?: readonly EventBatch[] };
