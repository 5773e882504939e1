/** The JSON of a response: of a list the rows of its page, nothing of a 204. */
export async function contentOf(response: Response): Promise<unknown> {
  return response.status === 204 ? undefined : rowsOf(await response.json());
}

/** The rows of a list’s page; anything else as it is. */
export function rowsOf(content: unknown): unknown {
  const isPage = typeof content === 'object' && content !== null && 'data' in content && 'nextCursor' in content;
  return isPage ? content.data : content;
}
