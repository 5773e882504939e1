import type { Connect, TransportEvents } from '@millrace/client/world';
import { type ClientFrame, FrameSplitter, SERVER_FRAME_BYTES_MAX, type ServerFrame } from '@millrace/contracts';
import { unpack } from 'msgpackr';
import type { MemoryWorld } from './world-in-memory.ts';

/** Time of a frame from one end to the other, ms. */
const LATENCY_MS = 20;

interface OpenLink {
  /** Directions in which frames are lost, without a message to either end. */
  isSilentUp: boolean;
  isSilentDown: boolean;
  closeClient(): void;
  closeServer(): void;
}

/** The network between one client and a world in memory. Frames of a connection arrive in order, until the network fails. */
export class MemoryLink {
  /** Whether new connections succeed. */
  isReachable = true;
  /** Changes frames of the server on their way; null loses one. */
  edit: (frame: ServerFrame, body: Uint8Array) => Uint8Array | null = (_frame, body) => body;
  /** Frames of the client, in order, and frames that it has received. */
  readonly sent: ClientFrame[] = [];
  readonly received: ServerFrame[] = [];
  readonly #world: MemoryWorld;
  #open: OpenLink | null = null;

  constructor(world: MemoryWorld) {
    this.#world = world;
  }

  readonly connect: Connect = (events) => {
    if (this.isReachable) return this.#connected(events);
    this.#later(() => events.onClose());
    return { send: () => {}, close: () => {} };
  };

  /** The network loses all further frames of the current connection. */
  silence(direction: 'both' | 'from the server'): void {
    if (!this.#open) return;
    this.#open.isSilentDown = true;
    if (direction === 'both') this.#open.isSilentUp = true;
  }

  /** Ends the current connection at both ends. */
  cut(): void {
    this.#open?.closeClient();
    this.#open?.closeServer();
  }

  /** Frames that the client has received of one type. */
  of<T extends ServerFrame['t']>(type: T): Extract<ServerFrame, { t: T }>[] {
    return this.received.filter((frame): frame is Extract<ServerFrame, { t: T }> => frame.t === type);
  }

  #later(work: () => void): void {
    this.#world.clock.after(LATENCY_MS, work);
  }

  #connected(events: TransportEvents) {
    let isOpen = true;
    const splitter = new FrameSplitter(SERVER_FRAME_BYTES_MAX);
    const link: OpenLink = {
      isSilentUp: false,
      isSilentDown: false,
      closeClient: () => {
        if (isOpen) events.onClose();
        isOpen = false;
      },
      closeServer: () => connection?.closed(),
    };
    this.#open = link;
    const connection = this.#world.gateway.connect({
      send: (bytes) =>
        splitter.push(bytes, (body) => {
          const frame = unpack(body) as ServerFrame;
          const edited = link.isSilentDown ? null : this.edit(frame, Uint8Array.from(body));
          if (!edited) return;
          this.#later(() => {
            if (!isOpen || link.isSilentDown) return;
            this.received.push(frame);
            events.onBody(edited);
          });
        }),
      backlog: () => 0,
      end: () => this.#later(() => !link.isSilentDown && link.closeClient()),
      remote: '10.0.0.1',
    });
    this.#later(() => isOpen && !link.isSilentDown && events.onOpen());
    return {
      send: (body: Uint8Array) => {
        const copy = Uint8Array.from(body);
        this.sent.push(unpack(copy) as ClientFrame);
        this.#later(() => !link.isSilentUp && connection?.receiveBody(copy));
      },
      close: () => {
        // On a network that has failed, neither end learns of it.
        if (!link.isSilentDown) this.#later(() => link.closeClient());
        if (!link.isSilentUp) this.#later(() => link.closeServer());
      },
    };
  }
}

/** Runs the timers of clients on the clock of a world in memory. */
export function runTimersOn(mock: { method: typeof import('node:test').mock.method }, clock: () => MemoryWorld['clock']): void {
  mock.method(globalThis, 'setTimeout', (callback: () => void, ms: number) => ({ cancel: clock().after(ms, callback) }));
  mock.method(globalThis, 'clearTimeout', (timer: { cancel(): void }) => timer.cancel());
}
