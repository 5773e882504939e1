import type { Page } from '@millrace/contracts';

/** Rows per request: the maximum of the API. */
const PAGE_ROWS = 1_000;

/**
 * All rows of a list. Requests the next page when the rows of the current one are read.
 * @param list an operation whose name begins with `list`
 * @param args its arguments, without `limit` and `cursor`
 * @throws MillraceError the error of the operation
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
