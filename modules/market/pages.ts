import { ApiProblem, decodeCursor, encodeCursor } from '@millrace/http';
import type { RowKey, RowOrder } from '@millrace/series';

/** A page of a time series, in the order of the request. `nextCursor` is null exactly when `hasMore` is false. */
export interface SeriesPage<Row> {
  readonly rows: readonly Row[];
  readonly hasMore: boolean;
  readonly nextCursor: string | null;
}

/** Which rows of a range a request wants. */
export interface PageRequest {
  readonly order: RowOrder;
  readonly limit: number;
  readonly cursor: string | undefined;
}

/**
 * One page of the rows of a range: the first `limit` rows after the cursor in this order.
 * @param read returns the first rows after a sort key in this order
 * @throws ApiProblem INVALID_CURSOR for a cursor that no page gave, or that a page in the other order gave
 */
export async function readPage<Row>(
  { order, limit, cursor }: PageRequest,
  read: (limit: number, after: RowKey | undefined) => Promise<readonly Row[]>,
  rowKeyOf: (row: Row) => RowKey,
): Promise<SeriesPage<Row>> {
  // One more row than requested tells whether there is another page.
  const found = await read(limit + 1, cursor === undefined ? undefined : rowKeyAfter(cursor, order));
  const rows = found.slice(0, limit);
  const last = rows.at(-1);
  const hasMore = last !== undefined && found.length > limit;
  return { rows, hasMore, nextCursor: hasMore ? encodeCursor([order, ...rowKeyOf(last)]) : null };
}

function rowKeyAfter(cursor: string, order: RowOrder): RowKey {
  const [givenIn, ...key] = decodeCursor(cursor, ['string', 'number', 'number', 'number']);
  if (givenIn === order) return key;
  throw new ApiProblem('INVALID_CURSOR', `The cursor is not of a page with order=${order}.`, 'Send it with the same parameters as before.');
}
