/** Size of the length prefix of each frame, bytes. It is big-endian and does not count itself. */
export const LENGTH_BYTES = 4;

/** A frame is longer than allowed. The rest of the stream cannot be read. */
export class FrameTooLarge extends Error {
  readonly bytes: number;

  constructor(bytes: number, bytesMax: number) {
    super(`frame of ${bytes} bytes exceeds the maximum of ${bytesMax} bytes`);
    this.name = 'FrameTooLarge';
    this.bytes = bytes;
  }
}

/**
 * Splits a byte stream into frames, independent of the chunks of the network. Buffers at most one frame. Rejects a frame above
 * the maximum length as soon as its length is known.
 */
export class FrameSplitter {
  readonly #bytesMax: number;
  /** Start of an incomplete frame. */
  #partial: Uint8Array | null = null;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * Calls `onFrame` with the body of each complete frame. The body is valid only until `onFrame` returns.
   * @throws FrameTooLarge
   */
  push(chunk: Uint8Array, onFrame: (body: Uint8Array) => void): void {
    let bytes = chunk;
    if (this.#partial) {
      bytes = new Uint8Array(this.#partial.length + chunk.length);
      bytes.set(this.#partial);
      bytes.set(chunk, this.#partial.length);
      this.#partial = null;
    }
    let at = 0;
    while (bytes.length - at >= LENGTH_BYTES) {
      const length = readLength(bytes, at);
      if (length > this.#bytesMax) throw new FrameTooLarge(length, this.#bytesMax);
      const end = at + LENGTH_BYTES + length;
      if (end > bytes.length) break;
      onFrame(bytes.subarray(at + LENGTH_BYTES, end));
      at = end;
    }
    // A copy, because the caller may reuse its chunk.
    if (at < bytes.length) this.#partial = bytes.slice(at);
  }

  /** Number of buffered bytes. */
  get held(): number {
    return this.#partial?.length ?? 0;
  }
}

function readLength(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0;
}

/** Writes the length of a frame into its first four bytes. */
export function writeLength(frame: Uint8Array, length: number): void {
  frame[0] = length >>> 24;
  frame[1] = length >>> 16;
  frame[2] = length >>> 8;
  frame[3] = length;
}
