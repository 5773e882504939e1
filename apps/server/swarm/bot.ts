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

/** Where `update` begins in the body of such a frame: after the map’s header and the key `t`. */
const TYPE_AT = 4;
const UPDATE = 'update'.charCodeAt(0);
const RETRY_MS = 200;
/** Answers remembered, to know which of them the world forgets: some seconds of them. */
const ANSWERS_KEPT = 64;

/** What all bots of a process have seen together. */
export interface Tally {
  frames: number;
  bytes: number;
  moves: number;
  accepted: number;
  refused: Record<string, number>;
  drops: number;
  /** Times a zone was entered, for the first time or again. */
  zones: number;
  /** Accepted commands that the world does not know of any more. */
  undone: number;
  /** When the earliest of them was answered, epoch ms; Infinity when there is none. */
  undoneSince: number;
  /** Longest time a bot that wanted to move had no move accepted, ms. */
  silenceMsMax: number;
  /** Milliseconds from sending a move to its answer, as the bots saw it. */
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
 * An honest player that cannot stand still: walks where its map says it may, at the pace it is allowed. Lean, so that ten thousand
 * fit into a process: updates are counted and not decoded.
 */
export class Bot {
  readonly #address: { host: string; port: number };
  readonly #token: string;
  readonly #seen: { tally: Tally };
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
  #asked: { n: number; at: number; x: number; y: number } | null = null;
  #isOver = false;
  #answers: { n: number; at: number }[] = [];
  #acceptedAt = 0;
  isPlaying = false;

  constructor(address: { host: string; port: number }, token: string, seen: { tally: Tally }, stepCm: number) {
    this.#address = address;
    this.#token = token;
    this.#seen = seen;
    this.#stepCm = stepCm;
    this.#connect();
  }

  /** One step onwards, unless the last one is not answered yet. */
  step(): void {
    if (!this.isPlaying || this.#asked) return;
    for (let turn = 0; turn < 8; turn++) {
      const x = Math.round(this.#x + Math.cos(this.#heading) * this.#stepCm);
      const y = Math.round(this.#y + Math.sin(this.#heading) * this.#stepCm);
      if (this.#mayWalk(x, y)) {
        const n = ++this.#n;
        this.#asked = { n, at: performance.now(), x, y };
        this.#seen.tally.moves++;
        return this.#send({ t: 'move', n, x, y });
      }
      this.#heading = Math.random() * 2 * Math.PI;
    }
  }

  end(): void {
    this.#isOver = true;
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
      this.#seen.tally.bytes += chunk.length;
      splitter.push(chunk, (body) => {
        this.#seen.tally.frames++;
        if (body[TYPE_AT] !== UPDATE) this.#take(unpackr.unpack(body) as ServerFrame);
      });
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.isPlaying = false;
      this.#asked = null;
      if (this.#isOver) return;
      this.#seen.tally.drops++;
      setTimeout(() => !this.#isOver && this.#connect(), RETRY_MS * (1 + Math.random()));
    });
  }

  #take(frame: ServerFrame): void {
    switch (frame.t) {
      case 'welcome':
        this.#resume = frame.resume;
        if (!frame.resumed) this.#send({ t: 'join', n: ++this.#n });
        return;
      case 'zone':
        this.#recognise(frame.n);
        this.#ground = { zone: frame.zone, blocked: Uint8Array.from(frame.blocked) };
        this.#columns = frame.plan.columns;
        this.#rows = frame.plan.rows;
        this.#x = frame.you.x;
        this.#y = frame.you.y;
        this.#asked = null;
        this.isPlaying = true;
        return;
      case 'you':
        this.#x = frame.you.x;
        this.#y = frame.you.y;
        return;
      case 'ok':
        if (this.#asked?.n !== frame.n) return;
        this.#x = this.#asked.x;
        this.#y = this.#asked.y;
        this.#accepted(frame.n);
        this.#seen.tally.accepted++;
        this.#seen.tally.latencies.push(performance.now() - this.#asked.at);
        this.#asked = null;
        return;
      case 'refused':
        this.#seen.tally.refused[frame.code] = (this.#seen.tally.refused[frame.code] ?? 0) + 1;
        if (frame.x !== undefined && frame.y !== undefined) {
          this.#x = frame.x;
          this.#y = frame.y;
        }
        if (this.#asked?.n !== frame.n) return;
        this.#seen.tally.latencies.push(performance.now() - this.#asked.at);
        this.#asked = null;
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
    const { tally } = this.#seen;
    const now = performance.now();
    if (this.#acceptedAt > 0) tally.silenceMsMax = Math.max(tally.silenceMsMax, now - this.#acceptedAt);
    this.#acceptedAt = now;
    this.#answers.push({ n, at: now });
    if (this.#answers.length > ANSWERS_KEPT) this.#answers.shift();
  }

  /** Compares what was accepted with what the zone knows: `n` is the newest command that has an effect there. */
  #recognise(n: number): void {
    const { tally } = this.#seen;
    tally.zones++;
    for (const answer of this.#answers) {
      if (answer.n <= n) continue;
      tally.undone++;
      tally.undoneSince = Math.min(tally.undoneSince, performance.timeOrigin + answer.at);
    }
    this.#answers = [];
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
