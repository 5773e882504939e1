import { randomBytes } from 'node:crypto';

/**
 * Generates trace ids in the format of W3C Trace Context: 32 hexadecimal digits. The first half is random per connection to a source; the second half
 * counts the frames of the connection. Ids are therefore cheap, and each identifies one frame.
 */
export class TraceSource {
  #prefix = randomBytes(8).toString('hex');
  #count = 0;

  /** Starts the ids of a new connection. */
  renew(): void {
    this.#prefix = randomBytes(8).toString('hex');
    this.#count = 0;
  }

  /** The next frame has come. Most frames need no id, so it is not built here. */
  next(): void {
    this.#count++;
  }

  /** Trace id of the frame. */
  get current(): string {
    const count = this.#count.toString(16);
    return this.#prefix + ZEROS.slice(count.length) + count;
  }
}

const ZEROS = '0000000000000000';
