import type { ClientFrame, ServerFrame } from '@millrace/contracts';
import { Packr, Unpackr } from 'msgpackr';
import type { Connect, Transport } from './transport.ts';

const RETRY_FIRST_MS = 100;
const RETRY_MOST_MS = 5_000;
/** Longest silence before the `welcome`, ms. */
const WELCOME_MS_MAX = 10_000;
/** Heartbeats without a frame from the server after which the connection counts as lost. The server allows the client as many. */
const MISSED_HEARTBEATS_MAX = 3;

export interface ConnectionEvents {
  /** A connection is open: send `hello`. */
  onOpen(): void;
  onFrame(frame: ServerFrame): void;
  /** The connection was lost. Unless you call `close`, another one is opened. */
  onLost(): void;
}

/**
 * The connection of a world client, as frames. When it is lost, or the server is silent for too long, opens another one, with rising delays. A network that
 * fails silently may keep a transport open for minutes, so nothing here waits for a transport to close.
 */
export class ReconnectingConnection {
  readonly #connect: Connect;
  readonly #events: ConnectionEvents;
  readonly #packr = new Packr({ useRecords: false, variableMapSize: true });
  readonly #unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number', copyBuffers: true });
  #transport: Transport | null = null;
  #silenceMsMax = WELCOME_MS_MAX;
  #retryMs = RETRY_FIRST_MS;
  /** Closes a silent connection, or opens the next one. */
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isClosed = false;

  constructor(connect: Connect, events: ConnectionEvents) {
    this.#connect = connect;
    this.#events = events;
  }

  open(): void {
    this.#silenceMsMax = WELCOME_MS_MAX;
    const transport: Transport = this.#connect({
      onOpen: () => {
        if (this.#transport === transport) this.#events.onOpen();
        else transport.close();
      },
      onBody: (body) => this.#transport === transport && this.#take(body),
      onClose: () => this.#transport === transport && this.#lost(),
    });
    this.#transport = transport;
    this.#expectBody();
  }

  /** Call it after a `welcome`. */
  welcomed(heartbeatMs: number): void {
    this.#retryMs = RETRY_FIRST_MS;
    this.#silenceMsMax = heartbeatMs * MISSED_HEARTBEATS_MAX;
    this.#expectBody();
  }

  send(frame: ClientFrame): void {
    this.#transport?.send(this.#packr.pack(frame));
  }

  /** Ends the current connection, like a network failure. */
  drop(): void {
    if (!this.#transport) return;
    this.#transport.close();
    // Its `onClose` may have been called within `close`.
    if (this.#transport) this.#lost();
  }

  /** Ends the connection; no other one is opened. */
  close(): void {
    this.#isClosed = true;
    this.#setTimer(null);
    const transport = this.#transport;
    this.#transport = null;
    transport?.close();
  }

  #take(body: Uint8Array): void {
    this.#expectBody();
    const frame = this.#decode(body);
    if (frame) this.#events.onFrame(frame);
    else this.drop();
  }

  /** Null when it is no MessagePack map: then the rest of the stream cannot be trusted. */
  #decode(body: Uint8Array): ServerFrame | null {
    try {
      const frame = this.#unpackr.unpack(body) as ServerFrame | null;
      return typeof frame === 'object' ? frame : null;
    } catch {
      return null;
    }
  }

  #lost(): void {
    this.#transport = null;
    this.#setTimer(null);
    this.#events.onLost();
    if (this.#isClosed) return;
    const waitMs = this.#retryMs * (0.5 + Math.random() / 2);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MOST_MS);
    this.#setTimer(setTimeout(() => this.open(), waitMs));
  }

  #expectBody(): void {
    this.#setTimer(setTimeout(() => this.drop(), this.#silenceMsMax));
  }

  #setTimer(timer: ReturnType<typeof setTimeout> | null): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = timer;
  }
}
