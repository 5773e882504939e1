import type { Page } from '@millrace/contracts';

/** Rows of one request: the most that the API gives. */
const PAGE_ROWS = 1_000;

/**
 * All rows of a list, page by page; the next page is asked for when the rows of the one before are read.
 * @param list an operation whose name begins with `list`
 * @param args its arguments, without `limit` and `cursor`
 * @throws MillraceError what the operation rejects with
 * @example for await (const source of listAll(millrace.listSources)) console.log(source.id, source.state);
 */
export async function* listAll<Row, Args extends { readonly limit?: number; readonly cursor?: string }>(
  list: (args: Args) => Promise<Page<Row>>,
  args: Omit<Args, 'limit' | 'cursor'> = {} as Args,
): AsyncGenerator<Row, void> {
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page: Page<Row> = await list({ ...args, limit: PAGE_ROWS, ...(cursor !== undefined && { cursor }) } as Args);
    yield* page.data;
    cursor = page.nextCursor;
  }
}
