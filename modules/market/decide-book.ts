import type { BookUpdate, InstrumentCommand } from '@millrace/contracts';
import { checksumOf, hasLevels, judge } from './book.ts';
import type { Emit, Instrument } from './instrument.ts';

/** Applies an update to the book, if it is the next one. A lost update or a wrong checksum breaks the book. */
export function decideBookUpdate(state: Instrument, book: BookUpdate, emit: Emit): void {
  if (!state.book.synced) return;
  const verdict = judge(state.book, book);
  if (verdict === 'old') return;
  if (verdict !== 'next') return emit({ type: 'BookBroken', reason: verdict.lost, time: book.time });
  emit({ type: 'BookUpdated', book });
  const expected = book.continuity?.checksum;
  if (expected === undefined) return;
  const actual = checksumOf(state.book);
  if (actual !== expected) emit({ type: 'BookBroken', reason: `the checksum is ${actual}, the venue says ${expected}`, time: book.time });
}

/** Marks the book as not up to date, once for each reason. */
export function decideBookLost({ book }: Instrument, { reason, time }: InstrumentCommand & { type: 'LoseBook' }, emit: Emit): void {
  if (book.synced || (hasLevels(book) && book.reason !== reason)) emit({ type: 'BookLost', reason, time });
}
