import {
  CLIENT_FRAME_BYTES_MAX,
  type ClientFrame,
  DISCONNECT_REASONS,
  type DisconnectReason,
  FrameSplitter,
  FrameTooLarge,
  REFUSALS,
  type ServerFrame,
} from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import { FrameLimiter } from './frame-limiter.ts';
import { checkFrame, decodeBody, encodeFrame } from './wire.ts';

/** Unread bytes of a client from which on updates are dropped for it. */
const SLOW_BYTES = 64 * 1024;
/** Unread bytes at which the connection is closed, because frames that must not be dropped no longer fit. */
const TOO_SLOW_BYTES = 512 * 1024;
/** Invalid frames after which a connection is closed. */
const BAD_FRAMES_MAX = 20;

/** Transport of a connection: TCP or WebSocket. */
export interface Transport {
  /** Sends a whole frame, length prefix included. */
  send(frame: Uint8Array): void;
  /** Bytes sent and not yet accepted by the network. */
  backlog(): number;
  end(): void;
  readonly remote: string;
}

export interface RateLimits {
  readonly commandsPerSecond: number;
  readonly commandsBurst: number;
  /** Frames of any kind. Beyond the limit the connection is closed. */
  readonly framesPerSecond: number;
}

/** Frame and byte counts of a connection, by outcome. */
export interface ConnectionCounts {
  framesIn: number;
  framesOut: number;
  bytesIn: number;
  bytesOut: number;
  refused: number;
  droppedUpdates: number;
}

export interface ConnectionEvents {
  onFrame(frame: ClientFrame): void;
  /** The client did something that a correct client never does. */
  onViolation(code: string): void;
  /** Updates were dropped, and the client can take new ones again. */
  onRecovered(): void;
  onClosed(code: DisconnectReason | null): void;
}

/**
 * One client’s connection, and the path of what it sends:
 *
 *     bytes -> frame -> rate limit -> schema -> (session -> command -> mailbox -> tick)
 *
 * Only valid frames of the protocol pass. Others are refused with a code, counted, and change nothing.
 */
export class Connection {
  readonly remote: string;
  readonly counts: ConnectionCounts = { framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0, refused: 0, droppedUpdates: 0 };
  /** When the last whole frame arrived, ms of the clock’s `elapsed`. */
  lastFrameAt: number;
  /** Round-trip time of the newest ping, ms; null before the first pong. */
  rttMs: number | null = null;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #events: ConnectionEvents;
  readonly #splitter = new FrameSplitter(CLIENT_FRAME_BYTES_MAX);
  readonly #commands: FrameLimiter;
  readonly #frames: FrameLimiter;
  #badFrames = 0;
  #isSlow = false;
  #isClosed = false;
  #pinged: { id: number; at: number } | null = null;

  constructor(transport: Transport, clock: Clock, limits: RateLimits, events: ConnectionEvents) {
    this.#transport = transport;
    this.#clock = clock;
    this.#events = events;
    this.remote = transport.remote;
    const now = clock.elapsed();
    this.lastFrameAt = now;
    this.#commands = new FrameLimiter({ requestsPerSecond: limits.commandsPerSecond, burst: limits.commandsBurst }, now);
    this.#frames = new FrameLimiter({ requestsPerSecond: limits.framesPerSecond, burst: limits.framesPerSecond }, now);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Receives a chunk of bytes from TCP. */
  receive(chunk: Uint8Array): void {
    if (this.#isClosed) return;
    this.counts.bytesIn += chunk.length;
    try {
      this.#splitter.push(chunk, (body) => this.#take(body));
    } catch (error) {
      if (!(error instanceof FrameTooLarge)) throw error;
      this.#events.onViolation('INVALID_FRAME');
      this.bye('FRAME_TOO_LARGE', error.message);
    }
  }

  /** Receives the body of one frame from WebSocket. */
  receiveBody(body: Uint8Array): void {
    if (this.#isClosed) return;
    this.counts.bytesIn += body.length;
    if (body.length <= CLIENT_FRAME_BYTES_MAX) return this.#take(body);
    this.#events.onViolation('INVALID_FRAME');
    this.bye('FRAME_TOO_LARGE', new FrameTooLarge(body.length, CLIENT_FRAME_BYTES_MAX).message);
  }

  /** Extends the limits by a pause of this process, in ms: what the client sent during it is read only now. */
  forgive(ms: number): void {
    const now = this.#clock.elapsed();
    this.lastFrameAt += ms;
    this.#frames.grant(ms, now);
    this.#commands.grant(ms, now);
  }

  #take(body: Uint8Array): void {
    if (this.#isClosed) return;
    const now = this.#clock.elapsed();
    this.lastFrameAt = now;
    this.counts.framesIn++;
    if (!this.#frames.take(now)) {
      this.#events.onViolation('RATE_LIMITED');
      return this.bye('FLOOD');
    }
    const decoded = decodeBody(body);
    if (!decoded) return this.#bad('it is not a MessagePack map with a `t`.', 0);
    const n = numberOf(decoded);
    if (n !== 0 && !this.#commands.take(now)) return this.refuse(n, 'RATE_LIMITED');
    const frame = checkFrame(decoded);
    if (typeof frame === 'string') return this.#bad(frame, n);
    if (frame.t === 'ping') return this.send({ t: 'pong', id: frame.id, time: Math.floor(this.#clock.now()) });
    if (frame.t === 'pong') return this.#ponged(frame.id, now);
    this.#events.onFrame(frame);
  }

  /** Sends a frame that must not be dropped. */
  send(frame: ServerFrame): void {
    this.sendBytes(encodeFrame(frame));
  }

  sendBytes(frame: Uint8Array): void {
    if (this.#isClosed) return;
    if (this.#transport.backlog() > TOO_SLOW_BYTES) return this.bye('SLOW_CONSUMER');
    this.#write(frame);
  }

  /** Sends a frame that a newer one replaces. False when it was dropped, because the client is too slow. */
  offer(frame: Uint8Array): boolean {
    if (this.#isClosed) return true;
    if (!this.#isSlow && this.#transport.backlog() <= SLOW_BYTES) {
      this.#write(frame);
      return true;
    }
    this.recordDroppedUpdate();
    return false;
  }

  /** Counts a dropped update. True for the first one since the client kept up. */
  recordDroppedUpdate(): boolean {
    this.counts.droppedUpdates++;
    const isFirst = !this.#isSlow;
    this.#isSlow = true;
    // Without waiting bytes the transport will not call `drained`.
    if (this.#transport.backlog() === 0) this.#clock.soon(() => this.drained());
    return isFirst;
  }

  refuse(n: number, code: string, detail = ''): void {
    this.counts.refused++;
    if (REFUSALS[code]?.violation) this.#events.onViolation(code);
    this.send({ t: 'refused', n, code, message: `${REFUSALS[code]?.description ?? code}${detail && ` ${detail}`}` });
  }

  ping(id: number): void {
    this.#pinged = { id, at: this.#clock.elapsed() };
    this.send({ t: 'ping', id });
  }

  /** Closes the connection after a last frame with the reason. */
  bye(code: DisconnectReason, detail = ''): void {
    if (this.#isClosed) return;
    this.#write(encodeFrame({ t: 'bye', code, message: `${DISCONNECT_REASONS[code]}${detail && ` (${detail})`}` }));
    this.#transport.end();
    this.closed(code);
  }

  /** Call it every now and then: a TCP socket reports that it has sent all waiting bytes only after a write that filled its buffer. */
  checkBacklog(): void {
    if (this.#isSlow && this.#transport.backlog() === 0) this.drained();
  }

  /** Call it when the transport has sent all waiting bytes. */
  drained(): void {
    if (!this.#isSlow || this.#isClosed) return;
    this.#isSlow = false;
    this.#events.onRecovered();
  }

  /** Call it when the transport has closed, from either side. */
  closed(code: DisconnectReason | null = null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#events.onClosed(code);
  }

  #bad(detail: string, n: number): void {
    this.refuse(n, 'INVALID_FRAME', detail);
    if (++this.#badFrames > BAD_FRAMES_MAX) this.bye('TOO_MANY_INVALID_FRAMES');
  }

  #ponged(id: number, now: number): void {
    if (this.#pinged?.id !== id) return;
    this.rttMs = now - this.#pinged.at;
    this.#pinged = null;
  }

  #write(frame: Uint8Array): void {
    this.counts.framesOut++;
    this.counts.bytesOut += frame.length;
    this.#transport.send(frame);
  }
}

/** The command number of a frame; 0 when the frame is no command. */
function numberOf(decoded: object): number {
  const { n } = decoded as { n?: unknown };
  return typeof n === 'number' && Number.isInteger(n) && n > 0 && n <= 0xffffffff ? n : 0;
}
