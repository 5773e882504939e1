/** The JSON of a response: the rows of a list, undefined for a 204. */
export async function contentOf(response: Response): Promise<unknown> {
  return response.status === 204 ? undefined : rowsOf(await response.json());
}

/** The rows of a page of a list; other values unchanged. */
export function rowsOf(content: unknown): unknown {
  const isPage = typeof content === 'object' && content !== null && 'data' in content && 'nextCursor' in content;
  return isPage ? content.data : content;
}
