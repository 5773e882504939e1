import { decodeCursor, encodeCursor } from '@millrace/platform/http';
import type { RowPlace } from '@millrace/platform/series';

/** A page of rows, oldest first, and the cursor of the page before it; null when there is none. */
export interface Page<Row> {
  readonly rows: readonly Row[];
  readonly nextCursor: string | null;
}

/**
 * The newest `limit` rows before a cursor, or of all.
 * @param read gives the newest rows before a place, oldest first
 */
export async function readPage<Row extends { readonly time: number; readonly order?: number; readonly arrival: number }>(
  limit: number,
  cursor: string | undefined,
  read: (limit: number, before: RowPlace | undefined) => Promise<readonly Row[]>,
): Promise<Page<Row>> {
  // One more than asked for: it tells whether there is a page before this one.
  const found = await read(limit + 1, cursor === undefined ? undefined : decodeCursor(cursor, ['number', 'number', 'number']));
  const rows = found.slice(-limit);
  const [oldest] = rows;
  return { rows, nextCursor: oldest && found.length > limit ? encodeCursor([oldest.time, oldest.order ?? 0, oldest.arrival]) : null };
}
