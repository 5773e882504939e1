/** Bytes of the length before each frame: big-endian, not counting itself. */
export const LENGTH_BYTES = 4;

/** A frame longer than was agreed: the stream cannot be trusted any more. */
export class FrameTooLarge extends Error {
  readonly bytes: number;

  constructor(bytes: number, bytesMax: number) {
    super(`a frame of ${bytes} bytes was announced; at most ${bytesMax} are allowed`);
    this.name = 'FrameTooLarge';
    this.bytes = bytes;
  }
}

/**
 * Cuts a stream of bytes into the frames it is made of, however the network has cut it. Holds back at most one frame, and
 * refuses one that is too long as soon as its length is known.
 */
export class FrameSplitter {
  readonly #bytesMax: number;
  /** The beginning of a frame whose rest has not come. */
  #held: Uint8Array | null = null;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * Calls back with the body of each frame that is whole now; valid until the call returns.
   * @throws FrameTooLarge
   */
  push(chunk: Uint8Array, onFrame: (body: Uint8Array) => void): void {
    let bytes = chunk;
    if (this.#held) {
      bytes = new Uint8Array(this.#held.length + chunk.length);
      bytes.set(this.#held);
      bytes.set(chunk, this.#held.length);
      this.#held = null;
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
    // A copy: the caller may use its chunk again.
    if (at < bytes.length) this.#held = bytes.slice(at);
  }

  /** Bytes held back. */
  get held(): number {
    return this.#held?.length ?? 0;
  }
}

function readLength(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0;
}

/** Writes a frame’s length into its first four bytes. */
export function writeLength(frame: Uint8Array, length: number): void {
  frame[0] = length >>> 24;
  frame[1] = length >>> 16;
  frame[2] = length >>> 8;
  frame[3] = length;
}
