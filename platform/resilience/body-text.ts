/** The body of a response is larger than the limit. */
export class BodyTooLarge extends Error {
  /** Start of the body, as far as it was read. */
  readonly beginning: string;

  constructor(bytesMax: number, beginning: string) {
    super(`the response body exceeds ${bytesMax} bytes`);
    this.name = 'BodyTooLarge';
    this.beginning = beginning;
  }
}

/**
 * Body of a response as text. The size is checked while the body is read: a body may be endless, or much larger after decompression.
 * @param bytesMax maximum size after decompression
 * @throws BodyTooLarge as soon as the body is larger; the rest is not read, and the connection closes
 */
export async function readBodyText({ body }: Pick<Response, 'body'>, bytesMax: number): Promise<string> {
  const decoder = new TextDecoder();
  let bytes = 0;
  let text = '';
  // An error within the loop cancels the stream.
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new BodyTooLarge(bytesMax, text);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
