import { type EventBatch, lastSeqOf } from './batch.ts';
import type { ZoneAddress } from './command.ts';

/** The seqs of events that the log will never get. */
interface LostRange {
  readonly firstSeq: number;
  readonly lastSeq: number;
}

/** The lost events of a shard: one range per zone, until a batch with the state after it is queued for the log. */
export class LostRanges {
  readonly #ranges = new Map<ZoneAddress, LostRange>();
  readonly #held = new Set<ZoneAddress>();
  /** Zones with a gap in the spool, and the first missing seq. The log can no longer record the batches after the gap. */
  readonly #gaps = new Map<ZoneAddress, number>();

  has(zone: ZoneAddress): boolean {
    return this.#ranges.has(zone);
  }

  /** Last lost seq of a zone; undefined without any. */
  upTo(zone: ZoneAddress): number | undefined {
    return this.#ranges.get(zone)?.lastSeq;
  }

  get zones(): ZoneAddress[] {
    return [...this.#ranges.keys()];
  }

  /** Extends the range of a zone. */
  add(zone: ZoneAddress, firstSeq: number, lastSeq: number): void {
    this.#ranges.set(zone, { firstSeq: this.#ranges.get(zone)?.firstSeq ?? firstSeq, lastSeq });
  }

  /** Removes the range of a zone, whose state is queued for the log now. Undefined without one, and while it is held. */
  take(zone: ZoneAddress): LostRange | undefined {
    if (this.#held.has(zone)) return undefined;
    const range = this.#ranges.get(zone);
    this.#ranges.delete(zone);
    return range;
  }

  /** Keeps the range of a zone until `free`. */
  hold(zone: ZoneAddress): void {
    this.#held.add(zone);
  }

  free(zone: ZoneAddress): void {
    this.#held.delete(zone);
  }

  addGap(zone: ZoneAddress, firstSeq: number): void {
    this.#gaps.set(zone, firstSeq);
  }

  gapOf(zone: ZoneAddress): number | undefined {
    return this.#gaps.get(zone);
  }

  isBehindGap(batch: EventBatch): boolean {
    return lastSeqOf(batch) >= (this.#gaps.get(batch.zone) ?? Number.POSITIVE_INFINITY);
  }

  /** Nothing is on the spool. */
  clearGaps(): void {
    this.#gaps.clear();
  }
}
