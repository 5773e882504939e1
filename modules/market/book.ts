import { crc32 } from 'node:zlib';
import type { BookUpdate, Level } from '@millrace/contracts';

/** Maximum number of levels of a side; worse levels are cut. Venues send at most a thousand. */
const LEVELS_MAX = 5_000;
const CHECKSUM_LEVELS = 10;
/**
 * Maximum time by which an update with an old id is newer than the book, ms: more than the clocks of a venue and of ours differ. A later one shows that the
 * venue counts from the start again.
 */
const OLD_MS_MAX = 60_000;

/** A level of a side, with the price as a number for sorting. */
export type BookLevel = [price: number, priceText: string, quantityText: string];

export interface Book {
  /** Whether a full book was received, and no update was lost since. */
  synced: boolean;
  /** Why it is not up to date. */
  reason: string;
  /** Best level first: bids descending, asks ascending. */
  bids: BookLevel[];
  asks: BookLevel[];
  /** Id of the newest applied update, if the venue numbers updates. */
  last: number | null;
  time: number;
  depth: number;
}

export function emptyBook(): Book {
  return { synced: false, reason: 'no whole book has come yet', bids: [], asks: [], last: null, time: 0, depth: LEVELS_MAX };
}

/** Relation of an update to a book: the next one, an old one, or one after a lost update. */
export function judge(book: Book, { continuity, time }: Pick<BookUpdate, 'continuity' | 'time'>): 'next' | 'old' | { lost: string } {
  if (continuity?.last === undefined || book.last === null) return 'next';
  if (continuity.last <= book.last) {
    if (time - book.time <= OLD_MS_MAX) return 'old';
    return { lost: `the ids went back from ${book.last} to ${continuity.last}` };
  }
  if (continuity.previous !== undefined && continuity.previous === book.last) return 'next';
  if (continuity.first !== undefined && continuity.first <= book.last + 1) return 'next';
  const due = continuity.previous !== undefined ? `${continuity.previous} should be` : `${continuity.first} came after`;
  return { lost: `updates between ${book.last} and ${continuity.first ?? continuity.last} are missing (${due} ${book.last})` };
}

export function replace(book: Book, update: BookUpdate): void {
  book.synced = true;
  book.reason = '';
  book.depth = Math.min(update.depth ?? LEVELS_MAX, LEVELS_MAX);
  book.bids = sorted(update.bids, false).slice(0, book.depth);
  book.asks = sorted(update.asks, true).slice(0, book.depth);
  book.last = update.continuity?.last ?? null;
  book.time = update.time;
}

export function update(book: Book, { bids, asks, continuity, time }: BookUpdate): void {
  for (const level of bids) put(book.bids, level, false);
  for (const level of asks) put(book.asks, level, true);
  if (book.bids.length > book.depth) book.bids.length = book.depth;
  if (book.asks.length > book.depth) book.asks.length = book.depth;
  if (continuity?.last !== undefined) book.last = continuity.last;
  book.time = Math.max(book.time, time);
}

/**
 * Checksum of Kraken: the CRC-32 of price and quantity of the ten best asks, then bids, without decimal points and leading zeros.
 * Source: docs.kraken.com, "Book checksum".
 */
export function checksumOf(book: Book): number {
  let text = '';
  for (const side of [book.asks, book.bids])
    for (const [, price, quantity] of side.slice(0, CHECKSUM_LEVELS)) text += digitsOf(price) + digitsOf(quantity);
  return crc32(text);
}

export function levelsOf(side: readonly BookLevel[], depth: number): Level[] {
  return side.slice(0, depth).map(([, price, quantity]) => [price, quantity]);
}

function digitsOf(decimal: string): string {
  return decimal.replace('.', '').replace(/^0+/, '');
}

function sorted(levels: readonly Level[], rising: boolean): BookLevel[] {
  const side = levels.map(([price, quantity]): BookLevel => [Number(price), price, quantity]);
  side.sort(rising ? (a, b) => a[0] - b[0] : (a, b) => b[0] - a[0]);
  return side.filter(([, , quantity]) => Number(quantity) !== 0);
}

function put(side: BookLevel[], [priceText, quantityText]: Level, rising: boolean): void {
  const price = Number(priceText);
  let low = 0;
  let high = side.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const there = (side[middle] as BookLevel)[0];
    if (rising ? there < price : there > price) low = middle + 1;
    else high = middle;
  }
  const found = side[low]?.[0] === price;
  const removes = Number(quantityText) === 0;
  if (found && removes) side.splice(low, 1);
  else if (found) side[low] = [price, priceText, quantityText];
  else if (!removes) side.splice(low, 0, [price, priceText, quantityText]);
}

export function hasLevels({ bids, asks }: Book): boolean {
  return bids.length > 0 || asks.length > 0;
}
