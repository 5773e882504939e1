import type { ReadRange } from '@millrace/base/offsets';
import type { EventBatch, ZoneAddress } from '@millrace/kernel';

/**
 * A table that is kept up to date from the log. It stores its offsets in the same transaction as its rows, and accepts only batches that continue
 * them. So each event is applied exactly once, even if a crash loses newest writes of the table.
 */
export interface Projection {
  /** Name of the consumer group. */
  readonly name: string;
  /**
   * What happens when retention has dropped events that it has not read: `stop` until an operator decides (the default), or `skip` them.
   * The gap is recorded in both cases.
   */
  readonly onOutOfRange?: 'stop' | 'skip';
  /**
   * Whether the processes that run the group have one store. If the log has a membership, they then share its partitions, and `apply` is called by several
   * processes at the same time. Default: each process has its own store, and reads all partitions.
   */
  readonly isShared?: boolean;
  /** True if it needs the events of a zone. Default: it needs all. */
  wants?(zone: ZoneAddress): boolean;
  /** Next offset of each partition; missing or 0 for a partition that was not read yet. */
  offsets(): Promise<ReadonlyMap<number, number>>;
  /**
   * Applies batches and stores the offsets of `read`, atomically. Batches of a partition are in order.
   * @param read empty for the replay of a dead letter
   * @param resumeFrom for a dead letter of a reactor: index of its first command that was not done
   * @throws OffsetsChanged when a stored offset is not the start of its range; CannotApply when a batch can never be applied; after any other error the
   *   call is repeated
   */
  apply(batches: readonly EventBatch[], read: readonly ReadRange[], resumeFrom?: number): Promise<void>;
}

/** A batch can never be applied. It becomes a dead letter. */
export class CannotApply extends Error {
  readonly batch: EventBatch;
  /** The only event that cannot be applied, and which of its commands was not done. Undefined for the whole batch. */
  readonly only: { readonly index: number; readonly command: number } | undefined;

  constructor(batch: EventBatch, reason: string, only?: CannotApply['only']) {
    super(reason);
    this.name = 'CannotApply';
    this.batch = batch;
    this.only = only;
  }
}
