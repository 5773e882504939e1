import {
  type ClientFrame,
  type DISCONNECT_REASONS,
  mayWalk,
  type SeenObject,
  type ServerFrame,
  type ServerFrameOf,
  UNANSWERED_MAX,
  WORLD_PROTOCOL,
  type Yourself,
} from '@millrace/contracts';
import { Packr, Unpackr } from 'msgpackr';
import type { Connect, Transport } from './transport.ts';

const RETRY_FIRST_MS = 100;
const RETRY_MOST_MS = 5_000;
/** Goodbyes after which coming back would be wrong, or would only lead to the same. */
const FINAL: readonly string[] = [
  'UNSUPPORTED_VERSION',
  'INVALID_TOKEN',
  'REPLACED',
  'KICKED',
  'FORBIDDEN',
  'FLOOD',
  'TEMPORARILY_BANNED',
  'TOO_MANY_INVALID_FRAMES',
  'FRAME_TOO_LARGE',
] satisfies (keyof typeof DISCONNECT_REASONS)[];

/** What became of a command. `LOST`: the connection or the zone’s host went while it was under way, and it had no effect. */
export type CommandAnswer = { ok: true } | { ok: false; code: string; message: string };

export interface WorldEvents {
  /** `online` once the server has said welcome; `joined` once the player is in a zone. */
  onState?(state: WorldClient['state']): void;
  /** You are in a zone, for the first time or again. */
  onZone?(zone: ServerFrameOf<'zone'>): void;
  /** What is in sight has changed: read `objects` and `you`. */
  onSight?(tick: number): void;
  onNotice?(notice: ServerFrameOf<'notice'>): void;
  /** The server has put you back: `you` is where you really are. */
  onCorrected?(refused: ServerFrameOf<'refused'>): void;
  /** The end: the server will not have this client back. */
  onEnd?(code: string, message: string): void;
}

export interface WorldClientOptions extends WorldEvents {
  readonly connect: Connect;
  readonly token: string;
}

/**
 * A player’s client. Sends what the player wants, keeps what the server says is so, and comes back by itself when the
 * connection drops. Positions are whole centimetres; nothing is shown that the server has not approved.
 *
 *     const world = new WorldClient({ connect: tcp({ host, port }), token, onSight: () => draw(world.you, world.objects) });
 *     await world.join();
 *     const answer = await world.move(world.you.x + 100, world.you.y);
 *     if (!answer.ok) console.log(answer.code);
 */
export class WorldClient {
  readonly #options: WorldClientOptions;
  readonly #packr = new Packr({ useRecords: false, variableMapSize: true });
  readonly #unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });
  #transport: Transport | null = null;
  #state: 'connecting' | 'online' | 'joined' | 'ended' = 'connecting';
  #you: Yourself | null = null;
  #zone: ServerFrameOf<'zone'> | null = null;
  readonly #objects = new Map<string, SeenObject>();
  readonly #answers = new Map<number, (answer: CommandAnswer) => void>();
  #moving = new Map<number, { x: number; y: number }>();
  #n = 0;
  #resume: string | null = null;
  #lastNotice = 0;
  #wantsIn = false;
  #joinWaiters: ((answer: CommandAnswer) => void)[] = [];
  #retryMs = RETRY_FIRST_MS;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #isGreeted = false;

  constructor(options: WorldClientOptions) {
    this.#options = options;
    this.#connect();
  }

  get state(): 'connecting' | 'online' | 'joined' | 'ended' {
    return this.#state;
  }

  /** Your player as the server has it; null until you joined. */
  get you(): Yourself | null {
    return this.#you;
  }

  /** The zone you are in, with its map. */
  get zone(): ServerFrameOf<'zone'> | null {
    return this.#zone;
  }

  /** All that is in sight, by id; yourself included. */
  get objects(): ReadonlyMap<string, SeenObject> {
    return this.#objects;
  }

  /** Enters the world, and stays in it across dropped connections until `leave`. */
  join(): Promise<CommandAnswer> {
    this.#wantsIn = true;
    return new Promise((resolve) => {
      this.#joinWaiters.push(resolve);
      if (this.#state === 'online') this.#sendJoin();
      else if (this.#state === 'joined') this.#resolveJoin({ ok: true });
    });
  }

  leave(): Promise<CommandAnswer> {
    this.#wantsIn = false;
    return this.#ask((n) => ({ t: 'leave', n }));
  }

  /** Walks in a straight line to a place, cm. */
  move(x: number, y: number): Promise<CommandAnswer> {
    return this.#ask((n) => {
      this.#moving.set(n, { x, y });
      return { t: 'move', n, x, y };
    });
  }

  /** Whether the way to a place is free, as far as the map of your zone tells: the server counts it against you to ask for what is not. */
  mayMove(x: number, y: number): boolean {
    return this.#you !== null && this.#zone !== null && mayWalk(this.#zone, this.#you, { x, y });
  }

  take(item: string): Promise<CommandAnswer> {
    return this.#ask((n) => ({ t: 'take', n, item }));
  }

  use(item: string): Promise<CommandAnswer> {
    return this.#ask((n) => ({ t: 'use', n, item }));
  }

  say(text: string): Promise<CommandAnswer> {
    return this.#ask((n) => ({ t: 'say', n, text }));
  }

  /** Drops the connection, as a network would; the client comes back. */
  drop(): void {
    this.#transport?.close();
  }

  /** Ends for good. */
  close(): void {
    this.#end('CLOSED', 'closed here');
  }

  #connect(): void {
    this.#isGreeted = false;
    const transport: Transport = this.#options.connect({
      onOpen: () => {
        if (this.#state === 'ended') return transport.close();
        if (this.#resume === null) this.#send({ t: 'hello', v: WORLD_PROTOCOL, token: this.#options.token });
        else {
          const unanswered = [...this.#answers.keys()].slice(-UNANSWERED_MAX);
          this.#send({ t: 'hello', v: WORLD_PROTOCOL, resume: this.#resume, last: this.#lastNotice, unanswered });
        }
      },
      onBody: (body) => this.#transport === transport && this.#take(this.#unpackr.unpack(body) as ServerFrame),
      onClose: () => this.#transport === transport && this.#closed(),
    });
    this.#transport = transport;
  }

  #closed(): void {
    this.#transport = null;
    if (this.#state === 'ended') return;
    this.#become('connecting');
    const waitMs = this.#retryMs * (0.5 + Math.random() / 2);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MOST_MS);
    this.#retry = setTimeout(() => this.#connect(), waitMs);
  }

  #take(frame: ServerFrame): void {
    switch (frame.t) {
      case 'welcome':
        this.#resume = frame.resume;
        if (!frame.resumed) this.#lastNotice = 0;
        this.#isGreeted = true;
        this.#retryMs = RETRY_FIRST_MS;
        this.#become('online');
        // A session that was resumed is in its zone already, and is told so.
        if (this.#wantsIn && (!frame.resumed || this.#zone === null)) this.#sendJoin();
        return;
      case 'zone':
        return this.#entered(frame);
      case 'view':
        this.#objects.clear();
        for (const object of frame.objects) this.#objects.set(object.id, object);
        return this.#options.onSight?.(frame.tick);
      case 'update':
        return this.#update(frame);
      case 'you':
        this.#you = frame.you;
        return this.#options.onSight?.(0);
      case 'ok':
        return this.#answered(frame.n, { ok: true });
      case 'refused': {
        this.#moving.delete(frame.n);
        if (this.#you && frame.x !== undefined && frame.y !== undefined) this.#you = { ...this.#you, x: frame.x, y: frame.y };
        this.#options.onCorrected?.(frame);
        return this.#answered(frame.n, { ok: false, code: frame.code, message: frame.message });
      }
      case 'notice':
        this.#lastNotice = frame.e;
        return this.#options.onNotice?.(frame);
      case 'ping':
        return this.#send({ t: 'pong', id: frame.id });
      case 'bye':
        return this.#bye(frame.code, frame.message);
      default:
        return;
    }
  }

  #entered(frame: ServerFrameOf<'zone'>): void {
    this.#zone = frame;
    this.#you = frame.you;
    this.#objects.clear();
    // What was asked before and is not among the accepted had no effect; the rest did. The server has said so of each, but to who has come back.
    for (const n of [...this.#answers.keys()].sort((one, other) => one - other)) {
      if (frame.accepted.includes(n)) this.#answered(n, { ok: true });
      else this.#answered(n, { ok: false, code: 'LOST', message: 'It had no effect: the zone or the connection went away.' });
    }
    this.#moving.clear();
    this.#become('joined');
    this.#resolveJoin({ ok: true });
    this.#options.onZone?.(frame);
  }

  #update({ tick, in: shown, at, set, out }: ServerFrameOf<'update'>): void {
    for (const object of shown) this.#objects.set(object.id, object);
    for (const [id, x, y] of at) this.#change(id, { x, y });
    for (const [id, fields] of set) this.#change(id, fields);
    for (const id of out) this.#objects.delete(id);
    this.#options.onSight?.(tick);
  }

  #change(id: string, fields: Partial<SeenObject>): void {
    const known = this.#objects.get(id);
    if (known) this.#objects.set(id, { ...known, ...fields });
  }

  #answered(n: number, answer: CommandAnswer): void {
    const to = this.#moving.get(n);
    this.#moving.delete(n);
    if (to && answer.ok && this.#you) this.#you = { ...this.#you, ...to };
    const resolve = this.#answers.get(n);
    this.#answers.delete(n);
    resolve?.(answer);
  }

  #resolveJoin(answer: CommandAnswer): void {
    for (const resolve of this.#joinWaiters.splice(0)) resolve(answer);
  }

  #ask(frameOf: (n: number) => ClientFrame): Promise<CommandAnswer> {
    if (this.#state !== 'joined') return Promise.resolve({ ok: false, code: 'NOT_JOINED', message: `The client is ${this.#state}.` });
    const n = ++this.#n;
    return new Promise((resolve) => {
      this.#answers.set(n, resolve);
      this.#send(frameOf(n));
    });
  }

  #sendJoin(): void {
    const n = ++this.#n;
    this.#answers.set(n, (answer) => !answer.ok && answer.code !== 'ALREADY_JOINED' && answer.code !== 'LOST' && this.#resolveJoin(answer));
    this.#send({ t: 'join', n });
  }

  #bye(code: string, message: string): void {
    if (code === 'UNKNOWN_SESSION' || !this.#isGreeted) this.#resume = null;
    if (code === 'UNKNOWN_SESSION') this.#zone = null;
    if (FINAL.includes(code)) this.#end(code, message);
  }

  #end(code: string, message: string): void {
    if (this.#state === 'ended') return;
    this.#become('ended');
    if (this.#retry) clearTimeout(this.#retry);
    this.#transport?.close();
    for (const resolve of this.#answers.values()) resolve({ ok: false, code, message });
    this.#answers.clear();
    this.#resolveJoin({ ok: false, code, message });
    this.#options.onEnd?.(code, message);
  }

  #become(state: WorldClient['state']): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.onState?.(state);
  }

  #send(frame: ClientFrame): void {
    this.#transport?.send(this.#packr.pack(frame));
  }
}
