/** Range of offsets of one partition that was read. */
export interface ReadRange {
  readonly partition: number;
  /** First offset of the range. The reader expects the store to have this as its next offset; 0 when nothing was read before. */
  readonly from: number;
  /** Offset after the range: the next one to read. */
  readonly next: number;
}

/**
 * The stored offsets differ from those that the reader expects. Causes: the store lost its last writes in a crash, an older copy of it took over,
 * another reader of the group writes to it, or the reply to a successful write was lost. Nothing was written. The reader continues at the stored
 * offsets.
 */
export class OffsetsChanged extends Error {
  constructor(group: string) {
    super(`the stored offsets of consumer group ${group} differ from those that its reader expects`);
    this.name = 'OffsetsChanged';
  }
}

/** Checks that the stored offsets are the starts of the ranges. @throws OffsetsChanged */
export function requireOffsets(group: string, stored: ReadonlyMap<number, number>, read: readonly ReadRange[]): void {
  if (read.some(({ partition, from }) => (stored.get(partition) ?? 0) !== from)) throw new OffsetsChanged(group);
}
