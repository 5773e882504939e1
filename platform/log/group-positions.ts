import type { ReadRange } from '@millrace/base/offsets';
import type { HeldPartition } from './membership.ts';

/** A stored offset that differs from the expected one. */
export interface MovedOffset {
  readonly partition: number;
  readonly expected: number;
  readonly stored: number;
}

/** The partitions that a process reads for a consumer group, and how far. */
export class GroupPositions {
  /** By partition, the next offset to read. Of partitions that the process does not have, as last read from the store. */
  readonly offsets: number[] = [];
  /** Stored offsets; behind `offsets` where events were skipped. */
  readonly #stored: number[] = [];
  /** By partition that the process has, the generation of its assignment. */
  readonly #held = new Map<number, number>();
  /** Assigned partitions whose stored offsets were not read since. They are not read. */
  readonly #unread = new Set<number>();
  /** Partitions of which it is not known whether the store is ahead. They are not read. */
  #unknown: ReadonlySet<number> = new Set();
  /** Offsets by partition up to which events were skipped, and that are not saved to the store yet. */
  readonly #skipped = new Map<number, number>();

  assign(partitions: readonly number[], generation: number): void {
    for (const partition of partitions) {
      this.#held.set(partition, generation);
      this.#unread.add(partition);
    }
  }

  revoke(partitions: readonly number[]): void {
    for (const partition of partitions) {
      this.#held.delete(partition);
      this.#unread.delete(partition);
      this.#skipped.delete(partition);
    }
  }

  has(partition: number): boolean {
    return this.#held.has(partition);
  }

  get partitions(): number[] {
    return [...this.#held.keys()].sort((one, other) => one - other);
  }

  /** By partition that can be read now, the generation of its assignment. */
  readable(): ReadonlyMap<number, number> {
    return new Map([...this.#held].filter(([partition]) => !this.#unread.has(partition) && !this.#unknown.has(partition)));
  }

  /** By partition whose offset is known, the generation of its assignment. */
  known(): ReadonlyMap<number, number> {
    return new Map([...this.#held].filter(([partition]) => !this.#unread.has(partition)));
  }

  /** Assigned partitions whose stored offsets must be read. */
  unread(): HeldPartition[] {
    return [...this.#unread].map((partition) => ({ partition, generation: this.#held.get(partition) ?? 0 }));
  }

  get unknown(): readonly number[] {
    return [...this.#unknown];
  }

  /** Whether the process has a partition since the assignment with this generation. */
  isHeld(partition: number, generation: number | undefined): boolean {
    return this.#held.get(partition) === generation && !this.#unread.has(partition);
  }

  hasReached(ends: readonly number[]): boolean {
    return ends.every((end, partition) => !this.has(partition) || (!this.#unread.has(partition) && (this.offsets[partition] ?? 0) >= end));
  }

  /** A range that was read up to `next`. */
  rangeTo(partition: number, next: number): ReadRange {
    return { partition, from: this.#stored[partition] ?? 0, next };
  }

  /** @returns how far the partition advances */
  advance(partition: number, next: number): number {
    const by = next - (this.offsets[partition] ?? 0);
    this.offsets[partition] = next;
    return by;
  }

  noteStored(read: readonly ReadRange[]): void {
    for (const { partition, next } of read) {
      this.#stored[partition] = next;
      if ((this.#skipped.get(partition) ?? 0) <= next) this.#skipped.delete(partition);
    }
  }

  noteSkipped(partition: number, next: number): void {
    this.#skipped.set(partition, next);
  }

  /** Ranges of skipped events that are not saved to the store yet. */
  skipped(): ReadRange[] {
    return [...this.#skipped].map(([partition, next]) => this.rangeTo(partition, next));
  }

  /**
   * Continues from the offsets of the store.
   * @param unknown partitions of which it is not known whether the store is ahead
   * @param asked what `unread` was before the store was read
   * @returns the partitions that were read and whose stored offsets are not the expected ones
   */
  adopt(stored: readonly number[], unknown: readonly number[], asked: readonly HeldPartition[]): MovedOffset[] {
    // Up to where the group has read, the log has the events.
    const isUnknown = (one: number) => this.#unread.has(one) || this.#unknown.has(one) || stored[one] !== this.#stored[one];
    this.#unknown = new Set(unknown.filter((one) => this.has(one) && isUnknown(one)));
    const moved: MovedOffset[] = [];
    for (const [partition, next] of stored.entries()) {
      const believed = this.#stored[partition] ?? 0;
      const isRead = this.has(partition) && !this.#unread.has(partition);
      if (isRead && next === believed) continue;
      if (isRead) moved.push({ partition, expected: believed, stored: next });
      this.#stored[partition] = next;
      this.offsets[partition] = next;
      this.#skipped.delete(partition);
    }
    // One that was assigned meanwhile is read again.
    for (const { partition, generation } of asked) if (this.#held.get(partition) === generation) this.#unread.delete(partition);
    return moved;
  }
}
