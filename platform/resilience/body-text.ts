/** A response has a longer body than is read. */
export class BodyTooLarge extends Error {
  /** What was read of it. */
  readonly beginning: string;

  constructor(bytesMax: number, beginning: string) {
    super(`a body of more than ${bytesMax} bytes`);
    this.name = 'BodyTooLarge';
    this.beginning = beginning;
  }
}

/**
 * The body of a response as text. A body may be endless, and compressed it may be far longer than what was sent, so it is counted as it comes.
 * @param bytesMax longest body, in bytes after decompression
 * @throws BodyTooLarge as soon as it is longer; the rest is not read, and the connection ends
 */
export async function readBodyText({ body }: Pick<Response, 'body'>, bytesMax: number): Promise<string> {
  const decoder = new TextDecoder();
  let bytes = 0;
  let text = '';
  // Leaving the loop by an error cancels the stream.
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new BodyTooLarge(bytesMax, text);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
