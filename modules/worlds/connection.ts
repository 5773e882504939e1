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
import { TokenBucket } from './token-bucket.ts';
import { checkFrame, decodeBody, encodeFrame } from './wire.ts';

/** Bytes a client has not read at which updates are left out for it. */
const SLOW_BYTES = 64 * 1024;
/** And at which it is ended: what must not be left out has no more room. */
const TOO_SLOW_BYTES = 512 * 1024;
/** Bad frames a connection may send before it is ended. */
const BAD_FRAMES_MAX = 20;

/** What a transport does for a connection: TCP or WebSocket. */
export interface Transport {
  /** Takes a whole frame, length included. */
  send(frame: Uint8Array): void;
  /** Bytes sent and not yet taken by the network. */
  backlog(): number;
  end(): void;
  readonly remote: string;
}

export interface RateLimits {
  readonly commandsPerSecond: number;
  readonly commandsBurst: number;
  /** Frames of any kind; beyond it the connection is ended. */
  readonly framesPerSecond: number;
}

/** What became of a frame; the counts of a connection. */
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
  /** Something a well-behaved client does not do. */
  onViolation(code: string): void;
  /** Updates were left out and there is room again. */
  onRecovered(): void;
  onClosed(code: DisconnectReason | null): void;
}

/**
 * One client’s connection, and the way of what it sends:
 *
 *     bytes -> frame -> rate limit -> schema -> (session -> command -> mailbox -> tick)
 *
 * What comes through is a frame the protocol knows; the rest is refused with a code, counted, and changes nothing.
 */
export class Connection {
  readonly remote: string;
  readonly counts: ConnectionCounts = { framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0, refused: 0, droppedUpdates: 0 };
  /** When the last whole frame came, ms of the clock’s `elapsed`. */
  heardAt: number;
  /** Milliseconds between the newest ping and its pong; null until there was one. */
  rttMs: number | null = null;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #events: ConnectionEvents;
  readonly #splitter = new FrameSplitter(CLIENT_FRAME_BYTES_MAX);
  readonly #commands: TokenBucket;
  readonly #frames: TokenBucket;
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
    this.heardAt = now;
    this.#commands = new TokenBucket(limits.commandsPerSecond, limits.commandsBurst, now);
    this.#frames = new TokenBucket(limits.framesPerSecond, limits.framesPerSecond, now);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Bytes as they come from TCP. */
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

  /** A whole body, as it comes from WebSocket. */
  receiveBody(body: Uint8Array): void {
    if (this.#isClosed) return;
    this.counts.bytesIn += body.length;
    if (body.length <= CLIENT_FRAME_BYTES_MAX) return this.#take(body);
    this.#events.onViolation('INVALID_FRAME');
    this.bye('FRAME_TOO_LARGE', new FrameTooLarge(body.length, CLIENT_FRAME_BYTES_MAX).message);
  }

  /** So much time counts for nothing: what the client sent in it is read only now. */
  forgive(ms: number): void {
    const now = this.#clock.elapsed();
    this.heardAt += ms;
    this.#frames.grant(ms, now);
    this.#commands.grant(ms, now);
  }

  #take(body: Uint8Array): void {
    if (this.#isClosed) return;
    const now = this.#clock.elapsed();
    this.heardAt = now;
    this.counts.framesIn++;
    if (!this.#frames.take(now)) {
      this.#events.onViolation('RATE_LIMITED');
      return this.bye('FLOOD');
    }
    const decoded = decodeBody(body);
    if (!decoded) return this.#bad('it is no MessagePack map with a `t`.', 0);
    const n = numberOf(decoded);
    if (n !== 0 && !this.#commands.take(now)) return this.refuse(n, 'RATE_LIMITED');
    const frame = checkFrame(decoded);
    if (typeof frame === 'string') return this.#bad(frame, n);
    if (frame.t === 'ping') return this.send({ t: 'pong', id: frame.id, time: Math.floor(this.#clock.now()) });
    if (frame.t === 'pong') return this.#ponged(frame.id, now);
    this.#events.onFrame(frame);
  }

  /** Sends a frame that must not be left out. */
  send(frame: ServerFrame): void {
    this.sendBytes(encodeFrame(frame));
  }

  sendBytes(frame: Uint8Array): void {
    if (this.#isClosed) return;
    if (this.#transport.backlog() > TOO_SLOW_BYTES) return this.bye('SLOW_CONSUMER');
    this.#write(frame);
  }

  /** Sends a frame that a newer one makes worthless. False when it was left out, because the client does not keep up. */
  offer(frame: Uint8Array): boolean {
    if (this.#isClosed) return true;
    if (!this.#isSlow && this.#transport.backlog() <= SLOW_BYTES) {
      this.#write(frame);
      return true;
    }
    this.leaveOut();
    return false;
  }

  /** Counts an update that was not sent; true, unless some were left out before. */
  leaveOut(): boolean {
    this.counts.droppedUpdates++;
    const isFirst = !this.#isSlow;
    this.#isSlow = true;
    // Nothing of it may be waiting any more, and then no `drained` will come.
    if (this.#transport.backlog() === 0) this.#clock.soon(() => this.drained());
    return isFirst;
  }

  refuse(n: number, code: string, detail = ''): void {
    this.counts.refused++;
    if (REFUSALS[code]?.violation) this.#events.onViolation(code);
    this.send({ t: 'refused', n, code, message: `${REFUSALS[code]?.says ?? code}${detail && ` ${detail}`}` });
  }

  ping(id: number): void {
    this.#pinged = { id, at: this.#clock.elapsed() };
    this.send({ t: 'ping', id });
  }

  /** Ends the connection; says why first. */
  bye(code: DisconnectReason, detail = ''): void {
    if (this.#isClosed) return;
    this.#write(encodeFrame({ t: 'bye', code, message: `${DISCONNECT_REASONS[code]}${detail && ` (${detail})`}` }));
    this.#transport.end();
    this.closed(code);
  }

  /** The transport has taken what was waiting. */
  drained(): void {
    if (!this.#isSlow || this.#isClosed) return;
    this.#isSlow = false;
    this.#events.onRecovered();
  }

  /** The connection is gone, whoever ended it. */
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

/** The number of a frame that is a command; 0 where there is none. */
function numberOf(decoded: object): number {
  const { n } = decoded as { n?: unknown };
  return typeof n === 'number' && Number.isInteger(n) && n > 0 && n <= 0xffffffff ? n : 0;
}
