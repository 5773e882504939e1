/** That a partition of the log was read from one offset up to another. */
export interface ReadRange {
  readonly partition: number;
  /** How far the store had read it before, as its reader believes; 0 for not at all. */
  readonly from: number;
  readonly next: number;
}

/**
 * A store has not read the log as far as its reader believes, or farther: it lost what it wrote last in a crash, an older copy of it took over, another
 * reader of the same group writes to it, or a write went through whose answer was lost. Nothing was written; the reader goes on from what the store says.
 */
export class OffsetsChanged extends Error {
  constructor(group: string) {
    super(`${group} has not read the log up to where its reader believes`);
    this.name = 'OffsetsChanged';
  }
}

/** @throws OffsetsChanged when a store’s offsets are not those that the ranges begin with */
export function requireOffsets(group: string, stored: ReadonlyMap<number, number>, read: readonly ReadRange[]): void {
  if (read.some(({ partition, from }) => (stored.get(partition) ?? 0) !== from)) throw new OffsetsChanged(group);
}
