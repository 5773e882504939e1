import type { EventBatch } from './batch.ts';
import type { LogPosition } from './ports.ts';

/** An append in progress. */
export interface Flight {
  readonly batches: readonly EventBatch[];
  readonly spooled: boolean;
  /** Whether the log has the batches, and where; null when it had them before. */
  isDurable: boolean;
  position: LogPosition | null;
}

export function newFlight(batches: readonly EventBatch[], spooled: boolean): Flight {
  return { batches, spooled, isDurable: false, position: null };
}

/** Recorded batches that the spool could not drop: it gives them again. */
export class UndroppedBatches {
  readonly #keys = new Set<string>();

  add(batches: readonly EventBatch[]): void {
    for (const batch of batches) this.#keys.add(keyOf(batch));
  }

  /** The batches that are not among them. */
  newOf(batches: readonly EventBatch[]): readonly EventBatch[] {
    return this.#keys.size === 0 ? batches : batches.filter((batch) => !this.#keys.has(keyOf(batch)));
  }

  clear(): void {
    this.#keys.clear();
  }
}

function keyOf({ zone, epoch, firstSeq }: EventBatch): string {
  return `${zone} ${epoch} ${firstSeq}`;
}
