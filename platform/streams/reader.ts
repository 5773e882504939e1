import { pack } from 'msgpackr';
import { formatPosition, type HubPosition } from './position.ts';

/** `entries`: not encoded, for a reader in this process. */
export type Format = 'sse' | 'json' | 'msgpack' | 'entries';

/** A connection of the hub. */
export interface Reader {
  readonly format: Format;
  /** Writes bytes to the connection, or processes the entries that they encode. Never blocks. */
  write(bytes: Buffer, entries: readonly Entry[]): void;
  /** Written bytes that the connection has not sent yet. */
  readonly backlog: number;
  /** Ends the connection, with a reason for the client. */
  end(reason: string): void;
}

/** A published event. It is encoded once per format, for all readers. */
export class Entry {
  readonly channel: string;
  readonly event: string;
  /** On a conflated channel, a newer event with the same key replaces this one. */
  readonly key: string;
  readonly conflated: boolean;
  readonly data: unknown;
  readonly #at: HubPosition;
  readonly #bytes: Partial<Record<Format, Buffer>> = {};

  constructor(at: HubPosition, channel: string, event: string, key: string, conflated: boolean, data: unknown) {
    this.#at = at;
    this.channel = channel;
    this.event = event;
    this.key = key;
    this.conflated = conflated;
    this.data = data;
  }

  get offset(): number {
    return this.#at.offset;
  }

  get position(): string {
    return formatPosition(this.#at);
  }

  /** The same event, for a reader that has not got all of the current state. */
  partial(): Entry {
    return new Entry({ ...this.#at, isPartial: true }, this.channel, this.event, this.key, this.conflated, this.data);
  }

  bytes(format: Format): Buffer {
    const encoded = this.#bytes[format];
    if (encoded) return encoded;
    const bytes = this.#encode(format);
    this.#bytes[format] = bytes;
    return bytes;
  }

  #encode(format: Format): Buffer {
    if (format === 'entries') return NOTHING;
    const { position } = this;
    if (format === 'sse')
      return Buffer.from(`id: ${position}\nevent: ${this.event}\ndata: ${JSON.stringify({ channel: this.channel, data: this.data })}\n\n`);
    const message = { channel: this.channel, position, event: this.event, data: this.data };
    return format === 'json' ? socketFrame(Buffer.from(JSON.stringify(message)), 'text') : socketFrame(pack(message), 'binary');
  }
}

/** A comment of server-sent events. */
export const HEARTBEAT = Buffer.from(': still here\n\n');

/** The bytes of several entries. */
export function joined(entries: readonly Entry[], format: Format): Buffer {
  const [only] = entries;
  return entries.length === 1 && only ? only.bytes(format) : Buffer.concat(entries.map((entry) => entry.bytes(format)));
}

const NOTHING = Buffer.alloc(0);
const FINAL = 0x80;
const OPCODE = { text: 0x1, binary: 0x2 };
const SHORT_MAX = 125;
const MIDDLE_MAX = 0xffff;

/** A complete, unmasked WebSocket frame of a server, which can be written to any number of sockets (RFC 6455, section 5.2). */
export function socketFrame(payload: Buffer, kind: keyof typeof OPCODE): Buffer {
  const { length } = payload;
  const header = Buffer.alloc(length <= SHORT_MAX ? 2 : length <= MIDDLE_MAX ? 4 : 10);
  header[0] = FINAL | OPCODE[kind];
  if (length <= SHORT_MAX) header[1] = length;
  else if (length <= MIDDLE_MAX) {
    header[1] = 126;
    header.writeUInt16BE(length, 2);
  } else {
    header[1] = 127;
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([header, payload]);
}
