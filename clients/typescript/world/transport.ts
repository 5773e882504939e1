/** One connection to the server that transports whole frames; implemented for TCP and WebSocket. */
export interface Transport {
  /** The body of a frame: one MessagePack map. */
  send(body: Uint8Array): void;
  close(): void;
}

export interface TransportEvents {
  onOpen(): void;
  /** The body of a frame; valid until the call returns. */
  onBody(body: Uint8Array): void;
  /** Called once, also when it never opened. */
  onClose(): void;
}

/** Opens a connection; called again for each attempt to reconnect. */
export type Connect = (events: TransportEvents) => Transport;
