import { ApiProblem } from '@millrace/platform/http';
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
  const found = await read(limit + 1, cursor === undefined ? undefined : placeOf(cursor));
  const rows = found.slice(-limit);
  const [oldest] = rows;
  return { rows, nextCursor: oldest && found.length > limit ? cursorOf([oldest.time, oldest.order ?? 0, oldest.arrival]) : null };
}

/** Opaque to callers, who must not make their own: what it holds may change. */
function cursorOf(place: RowPlace): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

function placeOf(cursor: string): RowPlace {
  try {
    const place = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown;
    if (Array.isArray(place) && place.length === 3 && place.every(Number.isFinite)) return place as unknown as RowPlace;
  } catch {
    // Refused below.
  }
  throw new ApiProblem(
    'INVALID_CURSOR',
    `cursor=${cursor.slice(0, 128)} is not a valid cursor.`,
    'Use the nextCursor of a response, or omit it.',
  );
}
