import { randomBytes } from 'node:crypto';

/**
 * Trace ids as W3C Trace Context wants them: 32 hexadecimal digits. The first half is random for each connection to a
 * source, the second counts its frames, so that an id costs next to nothing and leads back to one frame.
 */
export class TraceSource {
  #prefix = randomBytes(8).toString('hex');
  #count = 0;

  /** A new connection: ids of the old one end here. */
  renew(): void {
    this.#prefix = randomBytes(8).toString('hex');
    this.#count = 0;
  }

  next(): string {
    const count = (++this.#count).toString(16);
    return this.#prefix + ZEROS.slice(count.length) + count;
  }
}

const ZEROS = '0000000000000000';
