import { connect, type Socket } from 'node:net';
import {
  type ClientFrame,
  FrameSplitter,
  LENGTH_BYTES,
  mayWalk,
  SERVER_FRAME_BYTES_MAX,
  type ServerFrame,
  WORLD_PROTOCOL,
  writeLength,
  ZONE_SIZE,
  type ZoneGround,
} from '@millrace/contracts';
import { Packr, Unpackr } from 'msgpackr';

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

/** Offset of the frame type in a body: after the map header and the key `t`. */
const TYPE_AT = 4;
const UPDATE = 'update'.charCodeAt(0);
const RETRY_MS = 200;
/** Accepted commands that are remembered to detect lost ones: those of some seconds. */
const ACCEPTED_KEPT = 64;

/** Sums over all bots of a process. */
export interface Tally {
  frames: number;
  bytes: number;
  moves: number;
  accepted: number;
  refused: Record<string, number>;
  drops: number;
  /** Number of `zone` frames. */
  zones: number;
  /** Accepted commands that were lost by a recovery. */
  undone: number;
  /** Time of the reply to the earliest lost command, epoch ms; Infinity without one. */
  undoneSince: number;
  /** Longest time between two accepted moves of a bot, ms. */
  silenceMsMax: number;
  /** Round trip of each move, ms. */
  latencies: number[];
}

export function newTally(): Tally {
  return {
    frames: 0,
    bytes: 0,
    moves: 0,
    accepted: 0,
    refused: {},
    drops: 0,
    zones: 0,
    undone: 0,
    undoneSince: Number.POSITIVE_INFINITY,
    silenceMsMax: 0,
    latencies: [],
  };
}

/**
 * An honest player that walks continuously where its map allows, at the allowed speed. Ten thousand fit into a process, because updates are
 * counted and not decoded.
 */
export class Bot {
  readonly #address: { host: string; port: number };
  readonly #token: string;
  readonly #shared: { tally: Tally };
  readonly #stepCm: number;
  #socket: Socket | null = null;
  #resume: string | null = null;
  #n = 0;
  #x = 0;
  #y = 0;
  #heading = Math.random() * 2 * Math.PI;
  #ground: ZoneGround | null = null;
  #columns = 1;
  #rows = 1;
  #pendingMove: { n: number; at: number; x: number; y: number } | null = null;
  #isEnded = false;
  #acceptedMoves: { n: number; at: number }[] = [];
  #acceptedAt = 0;
  isPlaying = false;

  constructor(address: { host: string; port: number }, token: string, shared: { tally: Tally }, stepCm: number) {
    this.#address = address;
    this.#token = token;
    this.#shared = shared;
    this.#stepCm = stepCm;
    this.#connect();
  }

  /** Takes one step, unless the last one has no reply yet. */
  step(): void {
    if (!this.isPlaying || this.#pendingMove) return;
    for (let turn = 0; turn < 8; turn++) {
      const x = Math.round(this.#x + Math.cos(this.#heading) * this.#stepCm);
      const y = Math.round(this.#y + Math.sin(this.#heading) * this.#stepCm);
      if (this.#mayWalk(x, y)) {
        const n = ++this.#n;
        this.#pendingMove = { n, at: performance.now(), x, y };
        this.#shared.tally.moves++;
        return this.#send({ t: 'move', n, x, y });
      }
      this.#heading = Math.random() * 2 * Math.PI;
    }
  }

  end(): void {
    this.#isEnded = true;
    this.#send({ t: 'leave', n: ++this.#n });
    this.#socket?.end();
  }

  #connect(): void {
    const splitter = new FrameSplitter(SERVER_FRAME_BYTES_MAX);
    const socket = connect({ ...this.#address, noDelay: true });
    this.#socket = socket;
    socket.on('connect', () =>
      this.#send(
        this.#resume === null
          ? { t: 'hello', v: WORLD_PROTOCOL, token: this.#token }
          : { t: 'hello', v: WORLD_PROTOCOL, resume: this.#resume },
      ),
    );
    socket.on('data', (chunk) => {
      this.#shared.tally.bytes += chunk.length;
      splitter.push(chunk, (body) => {
        this.#shared.tally.frames++;
        if (body[TYPE_AT] !== UPDATE) this.#handle(unpackr.unpack(body) as ServerFrame);
      });
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.isPlaying = false;
      this.#pendingMove = null;
      if (this.#isEnded) return;
      this.#shared.tally.drops++;
      setTimeout(() => !this.#isEnded && this.#connect(), RETRY_MS * (1 + Math.random()));
    });
  }

  #handle(frame: ServerFrame): void {
    switch (frame.t) {
      case 'welcome':
        this.#resume = frame.resume;
        if (!frame.resumed) this.#send({ t: 'join', n: ++this.#n });
        return;
      case 'zone':
        this.#countLost(frame.n);
        this.#ground = { zone: frame.zone, blocked: Uint8Array.from(frame.blocked) };
        this.#columns = frame.plan.columns;
        this.#rows = frame.plan.rows;
        this.#x = frame.you.x;
        this.#y = frame.you.y;
        this.#pendingMove = null;
        this.isPlaying = true;
        return;
      case 'you':
        this.#x = frame.you.x;
        this.#y = frame.you.y;
        return;
      case 'ok':
        if (this.#pendingMove?.n !== frame.n) return;
        this.#x = this.#pendingMove.x;
        this.#y = this.#pendingMove.y;
        this.#accepted(frame.n);
        this.#shared.tally.accepted++;
        this.#shared.tally.latencies.push(performance.now() - this.#pendingMove.at);
        this.#pendingMove = null;
        return;
      case 'refused':
        this.#shared.tally.refused[frame.code] = (this.#shared.tally.refused[frame.code] ?? 0) + 1;
        if (frame.x !== undefined && frame.y !== undefined) {
          this.#x = frame.x;
          this.#y = frame.y;
        }
        if (this.#pendingMove?.n !== frame.n) return;
        this.#shared.tally.latencies.push(performance.now() - this.#pendingMove.at);
        this.#pendingMove = null;
        this.#heading = Math.random() * 2 * Math.PI;
        return;
      case 'ping':
        return this.#send({ t: 'pong', id: frame.id });
      case 'bye':
        if (frame.code === 'UNKNOWN_SESSION') this.#resume = null;
        return;
      default:
        return;
    }
  }

  #accepted(n: number): void {
    const { tally } = this.#shared;
    const now = performance.now();
    if (this.#acceptedAt > 0) tally.silenceMsMax = Math.max(tally.silenceMsMax, now - this.#acceptedAt);
    this.#acceptedAt = now;
    this.#acceptedMoves.push({ n, at: now });
    if (this.#acceptedMoves.length > ACCEPTED_KEPT) this.#acceptedMoves.shift();
  }

  /** Counts accepted commands that the zone lost: `n` is the newest command with an effect there. */
  #countLost(n: number): void {
    const { tally } = this.#shared;
    tally.zones++;
    for (const accepted of this.#acceptedMoves) {
      if (accepted.n <= n) continue;
      tally.undone++;
      tally.undoneSince = Math.min(tally.undoneSince, performance.timeOrigin + accepted.at);
    }
    this.#acceptedMoves = [];
  }

  #mayWalk(x: number, y: number): boolean {
    if (!this.#ground || x < 0 || y < 0 || x >= this.#columns * ZONE_SIZE || y >= this.#rows * ZONE_SIZE) return false;
    return mayWalk(this.#ground, { x: this.#x, y: this.#y }, { x, y });
  }

  #send(frame: ClientFrame): void {
    const body = packr.pack(frame);
    const bytes = Buffer.allocUnsafe(LENGTH_BYTES + body.length);
    writeLength(bytes, body.length);
    body.copy(bytes, LENGTH_BYTES);
    this.#socket?.write(bytes);
  }
}
