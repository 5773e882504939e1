import type { EventBatch } from '@millrace/kernel';
import { afterRecord, type Cursor } from './reader-rule.ts';
import type { ShardRecord } from './shard-records.ts';

/** Ranges of a shard that the index keeps. More come only from readers at many places; the shortest are forgotten. */
const RANGES_MAX = 8;

/** Records of a shard of which all valid batches are known: from the offset `from` to `to`, which stands right after a valid record. */
export interface IndexedRange {
  readonly from: number;
  readonly to: Cursor;
}

/** A batch with the place of its record. */
export interface ReadBatch {
  readonly at: Cursor;
  readonly batch: EventBatch;
}

/** Records that a reader has passed without a gap. */
export class PassedRange {
  readonly begin: Cursor;
  /** The cursor of the reader. */
  end: Cursor;
  /** Newest valid claim before the first record that proves the cursor. */
  #claimAt: number | null = null;
  #isProven: boolean;
  /** Right after the newest valid batch or head. */
  #to: Cursor | null = null;
  #from: number;

  constructor(begin: Cursor) {
    this.begin = begin;
    this.end = begin;
    this.#from = begin.offset;
    // Only the start of a shard has no nonce, and the log itself tells it.
    this.#isProven = begin.nonce === '';
  }

  /**
   * Notes a valid record. A batch or a head has the nonce of its owner, so it proves the cursor at which the reader began, which may be of another state of
   * the log. A claim has not: a cursor with a wrong nonce, but the right epoch, accepts it, too.
   */
  note(record: ShardRecord, at: Cursor): void {
    if (record.kind === 'claim') {
      if (!this.#isProven) this.#claimAt = at.offset;
      return;
    }
    this.#prove();
    this.#to = afterRecord(record, at);
  }

  /** Adds what the same reader has passed next. */
  continueWith(next: PassedRange): void {
    this.end = next.end;
    if (!this.#isProven) this.#claimAt = next.#claimAt ?? this.#claimAt;
    if (!next.#isProven) return;
    this.#prove();
    this.#to = next.#to ?? this.#to;
  }

  /** What is proven and was not taken before; null when nothing is. */
  take(): IndexedRange | null {
    const to = this.#to;
    if (to === null) return null;
    const range = { from: this.#from, to };
    this.#from = to.offset;
    this.#to = null;
    return range;
  }

  #prove(): void {
    if (!this.#isProven) this.#from = this.#claimAt ?? this.#from;
    this.#isProven = true;
  }
}

/** Ranges with one more. Those that overlap or touch become one. */
export function withRange(ranges: readonly IndexedRange[], added: IndexedRange): IndexedRange[] {
  let merged = added;
  const apart: IndexedRange[] = [];
  for (const range of ranges) {
    if (range.from > added.to.offset || range.to.offset < added.from) apart.push(range);
    else merged = { from: Math.min(merged.from, range.from), to: range.to.offset > merged.to.offset ? range.to : merged.to };
  }
  const lengthOf = ({ from, to }: IndexedRange) => to.offset - from;
  return [...apart, merged]
    .sort((one, other) => lengthOf(other) - lengthOf(one))
    .slice(0, RANGES_MAX)
    .sort((one, other) => one.from - other.from);
}

/** The parts of ranges from an offset on. */
export function rangesFrom(ranges: readonly IndexedRange[], offset: number): IndexedRange[] {
  return ranges.filter(({ to }) => to.offset > offset).map(({ from, to }) => ({ from: Math.max(from, offset), to }));
}
