import { hash } from 'node:crypto';
import { PAGE_ROWS, type Page, type PageQuery } from '@millrace/contracts';
import { ApiProblem } from './problems.ts';
import { isStorable } from './sound-requests.ts';

/** Encodes the place of a row as an opaque cursor. Clients must not build their own: the content may change. */
export function encodeCursor(place: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/**
 * Decodes a cursor of `encodeCursor`.
 * @param types of the parts of the place
 * @throws ApiProblem INVALID_CURSOR when it is not such a place
 */
export function decodeCursor<const Types extends readonly ('string' | 'number')[]>(cursor: string, types: Types): PlaceOf<Types> {
  try {
    const place = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown;
    const isPlace = Array.isArray(place) && place.length === types.length && place.every((part, index) => typeof part === types[index]);
    if (isPlace && place.every(isStored)) return place as unknown as PlaceOf<Types>;
  } catch {
    // Refused below.
  }
  throw new ApiProblem(
    'INVALID_CURSOR',
    `cursor=${cursor.slice(0, 128)} is not a valid cursor.`,
    'Use the nextCursor of a response, or omit it.',
  );
}

/** Whether a store can compare with a value: an integer of 64 bits, or text that databases accept. Our own cursors have no other values. */
function isStored(part: string | number): boolean {
  return typeof part === 'string' ? isStorable(part) : Number.isInteger(part) && Math.abs(part) < 2 ** 63;
}

type PlaceOf<Types extends readonly ('string' | 'number')[]> = {
  -readonly [I in keyof Types]: Types[I] extends 'string' ? string : number;
};

/**
 * One page of a list that is in memory. Following the cursors gives every row once while the list does not change, and also when rows are inserted or
 * removed meanwhile, as long as the last row of the page before is still there. When it was removed, rows may be given twice, but none is left out.
 * @param keyOf identifies a row
 */
export function paginate<Row>(
  rows: readonly Row[],
  { limit = PAGE_ROWS, cursor }: PageQuery,
  keyOf: (row: Row) => string | number,
): Page<Row> {
  const start = cursor === undefined ? 0 : startAfter(rows, decodeCursor(cursor, ['string', 'number', 'number']), keyOf);
  const data = rows.slice(start, start + limit);
  const last = data.at(-1);
  const isLast = last === undefined || start + limit >= rows.length;
  return { data, hasMore: !isLast, nextCursor: isLast ? null : encodeCursor([shortKey(keyOf(last)), start + limit, rows.length]) };
}

function startAfter<Row>(
  rows: readonly Row[],
  [key, index, length]: [string, number, number],
  keyOf: (row: Row) => string | number,
): number {
  const isLast = (row: Row | undefined) => row !== undefined && shortKey(keyOf(row)) === key;
  // If nothing has changed, the row is still at its index. That also distinguishes rows with equal keys.
  if (isLast(rows[index - 1])) return index;
  const at = rows.findIndex(isLast);
  if (at !== -1) return at + 1;
  // The row was removed, perhaps with others: all missing rows may have been before it.
  return Math.min(Math.max(0, index - Math.max(1, length - rows.length)), rows.length);
}

/** Longest key that a cursor carries as it is; the hash of a longer one keeps the cursor short. */
const KEY_CHARACTERS_MAX = 64;

function shortKey(key: string | number): string {
  const text = String(key);
  return text.length <= KEY_CHARACTERS_MAX ? text : hash('sha256', text, 'base64url');
}

/**
 * One page of rows that are read from a store.
 * @param found up to `limit` + 1 rows: the extra row shows that another page exists
 * @param placeOf where the next page starts after a row
 */
export function pageOf<Row>(found: readonly Row[], limit: number, placeOf: (row: Row) => readonly (string | number)[]): Page<Row> {
  const data = found.slice(0, limit);
  const last = data.at(-1);
  const hasMore = last !== undefined && found.length > limit;
  return { data, hasMore, nextCursor: hasMore ? encodeCursor(placeOf(last)) : null };
}
