import type { ReadRange } from '@millrace/base/offsets';
import type { EventBatch, ZoneAddress } from '@millrace/kernel';

/**
 * A table kept up to date from the log. It stores the offsets it has reached in the same transaction as its rows, and writes only what
 * continues them. So a crash of either side repeats nothing and skips nothing, whatever a store loses.
 */
export interface Projection {
  /** Name of the consumer group. */
  readonly name: string;
  /**
   * What happens when retention has dropped events that it has not read: `stop` until an operator decides (the default), or `skip` them.
   * The gap is recorded in both cases.
   */
  readonly onOutOfRange?: 'stop' | 'skip';
  /** True if it needs the events of a zone. Default: it needs all. */
  wants?(zone: ZoneAddress): boolean;
  /** The offset from which each partition is to be read; 0 where nothing was read yet. */
  offsets(): Promise<ReadonlyMap<number, number>>;
  /**
   * Writes what the batches say and the offsets up to which the partitions are read, both or neither. Batches of a partition are in its order.
   * @param read empty when a dead letter is replayed
   * @param resumeFrom of a dead letter of a reactor: the first of its commands that was not done
   * @throws OffsetsChanged when a partition is not read up to where its range begins; CannotApply when a batch can never be applied; after any
   *   other error it is called again
   */
  apply(batches: readonly EventBatch[], read: readonly ReadRange[], resumeFrom?: number): Promise<void>;
}

/** A batch that fails however often it is tried: it goes to the dead letters. */
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
