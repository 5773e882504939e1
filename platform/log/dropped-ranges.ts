import type { Clock } from '@millrace/kernel';
import type { ConsumerGap, EventLog, OffsetOutOfRange } from './event-log.ts';
import type { GroupPositions } from './group-positions.ts';
import type { Projection } from './projection.ts';

interface DroppedParts {
  readonly log: Pick<EventLog, 'consumers'>;
  readonly projection: Projection;
  readonly positions: GroupPositions;
  readonly clock: Clock;
  readonly onFailure: (message: string) => void;
}

/** By partition, the range that retention dropped before a consumer group read it. */
export class DroppedRanges {
  readonly #parts: DroppedParts;
  readonly #ranges = new Map<number, ConsumerGap>();
  /** Newest ranges that the group has skipped. */
  gaps: readonly ConsumerGap[] = [];

  constructor(parts: DroppedParts) {
    this.#parts = parts;
  }

  get isEmpty(): boolean {
    return this.#ranges.size === 0;
  }

  /** Whether the group reads nothing until an operator skips them. */
  get areStopping(): boolean {
    return !this.isEmpty && this.#parts.projection.onOutOfRange !== 'skip';
  }

  list(): ConsumerGap[] {
    return [...this.#ranges.values()];
  }

  add({ partition, offset, start }: OffsetOutOfRange): void {
    this.#ranges.set(partition, { partition, from: offset, to: start, at: this.#parts.clock.now() });
  }

  forget(partitions: readonly number[]): void {
    for (const partition of partitions) this.#ranges.delete(partition);
  }

  /** Records the ranges as gaps, then continues after them. @returns the gaps */
  async skip(): Promise<ConsumerGap[]> {
    const { log, projection, positions, clock, onFailure } = this.#parts;
    const { name } = projection;
    const gaps = this.list().map((gap) => ({ ...gap, at: clock.now() }));
    const known = this.gaps;
    for (const gap of gaps) {
      // A skip that failed has recorded it.
      if (known.some(({ partition, from, to }) => partition === gap.partition && from === gap.from && to === gap.to)) continue;
      await log.consumers.recordGap(name, gap);
      this.gaps = [...this.gaps, gap];
      onFailure(`${name} skipped offsets ${gap.from} to ${gap.to - 1} of partition ${gap.partition}`);
    }
    const read = gaps.map(({ partition, to }) => positions.rangeTo(partition, to));
    await projection.apply([], read);
    positions.noteStored(read);
    for (const { partition, to } of gaps) {
      positions.advance(partition, to);
      this.#ranges.delete(partition);
    }
    return gaps;
  }
}
