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
/** Disconnect reasons after which the client does not reconnect: it would be disconnected again. */
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

/** Result of a command. `LOST`: the connection or the host of the zone failed before it took effect. */
export type CommandAnswer = { ok: true } | { ok: false; code: string; message: string };

export interface WorldEvents {
  /** `online` after the `welcome` of the server; `joined` when the player is in a zone. */
  onState?(state: WorldClient['state']): void;
  /** The player entered a zone, or resumed in it. */
  onZone?(zone: ServerFrameOf<'zone'>): void;
  /** The visible objects changed: read `objects` and `you`. */
  onSight?(tick: number): void;
  onNotice?(notice: ServerFrameOf<'notice'>): void;
  /** A command was refused: `you` has the actual position. */
  onCorrected?(refused: ServerFrameOf<'refused'>): void;
  /** The client has ended and does not reconnect. */
  onEnd?(code: string, message: string): void;
}

export interface WorldClientOptions extends WorldEvents {
  readonly connect: Connect;
  readonly token: string;
}

/**
 * The client of one player. Sends commands, keeps the state that the server confirms, and reconnects automatically. Commands
 * resolve with a result and do not reject. Positions are whole centimetres.
 *
 *     const world = new WorldClient({ connect: tcp({ host, port }), token, onSight: () => draw(world.you, world.objects) });
 *     await world.join();
 *     const result = await world.move(world.you.x + 100, world.you.y);
 *     if (!result.ok) console.log(result.code);
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
  readonly #pending = new Map<number, (result: CommandAnswer) => void>();
  #moving = new Map<number, { x: number; y: number }>();
  #n = 0;
  #resume: string | null = null;
  #lastNotice = 0;
  #shouldJoin = false;
  #joinWaiters: ((result: CommandAnswer) => void)[] = [];
  #retryMs = RETRY_FIRST_MS;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #isWelcomed = false;

  constructor(options: WorldClientOptions) {
    this.#options = options;
    this.#connect();
  }

  get state(): 'connecting' | 'online' | 'joined' | 'ended' {
    return this.#state;
  }

  /** State of the player on the server; null before the first zone. */
  get you(): Yourself | null {
    return this.#you;
  }

  /** Current zone, with its map; null before the first zone. */
  get zone(): ServerFrameOf<'zone'> | null {
    return this.#zone;
  }

  /** Visible objects by id, including the player. */
  get objects(): ReadonlyMap<string, SeenObject> {
    return this.#objects;
  }

  /** Joins the world, and joins again after reconnects, until `leave`. */
  join(): Promise<CommandAnswer> {
    this.#shouldJoin = true;
    return new Promise((resolve) => {
      this.#joinWaiters.push(resolve);
      if (this.#state === 'online') this.#sendJoin();
      else if (this.#state === 'joined') this.#resolveJoin({ ok: true });
    });
  }

  leave(): Promise<CommandAnswer> {
    this.#shouldJoin = false;
    return this.#command((n) => ({ t: 'leave', n }));
  }

  /** Walks in a straight line to a position, cm. */
  move(x: number, y: number): Promise<CommandAnswer> {
    return this.#command((n) => {
      this.#moving.set(n, { x, y });
      return { t: 'move', n, x, y };
    });
  }

  /** True if the map of the current zone has a free path to the position, cm. The server counts moves through walls as violations. */
  mayMove(x: number, y: number): boolean {
    return this.#you !== null && this.#zone !== null && mayWalk(this.#zone, this.#you, { x, y });
  }

  take(item: string): Promise<CommandAnswer> {
    return this.#command((n) => ({ t: 'take', n, item }));
  }

  use(item: string): Promise<CommandAnswer> {
    return this.#command((n) => ({ t: 'use', n, item }));
  }

  say(text: string): Promise<CommandAnswer> {
    return this.#command((n) => ({ t: 'say', n, text }));
  }

  /** Closes the connection, like a network failure; the client reconnects. */
  drop(): void {
    this.#transport?.close();
  }

  /** Closes the client. It does not reconnect. */
  close(): void {
    this.#end('CLOSED', 'closed here');
  }

  #connect(): void {
    this.#isWelcomed = false;
    const transport: Transport = this.#options.connect({
      onOpen: () => {
        if (this.#state === 'ended') return transport.close();
        if (this.#resume === null) this.#send({ t: 'hello', v: WORLD_PROTOCOL, token: this.#options.token });
        else {
          const unanswered = [...this.#pending.keys()].slice(-UNANSWERED_MAX);
          this.#send({ t: 'hello', v: WORLD_PROTOCOL, resume: this.#resume, last: this.#lastNotice, unanswered });
        }
      },
      onBody: (body) => this.#transport === transport && this.#handle(this.#unpackr.unpack(body) as ServerFrame),
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

  #handle(frame: ServerFrame): void {
    switch (frame.t) {
      case 'welcome':
        this.#resume = frame.resume;
        if (!frame.resumed) this.#lastNotice = 0;
        this.#isWelcomed = true;
        this.#retryMs = RETRY_FIRST_MS;
        this.#become('online');
        // A resumed session is still in its zone, and receives a `zone` frame.
        if (this.#shouldJoin && (!frame.resumed || this.#zone === null)) this.#sendJoin();
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
        return this.#complete(frame.n, { ok: true });
      case 'refused': {
        this.#moving.delete(frame.n);
        if (this.#you && frame.x !== undefined && frame.y !== undefined) this.#you = { ...this.#you, x: frame.x, y: frame.y };
        this.#options.onCorrected?.(frame);
        return this.#complete(frame.n, { ok: false, code: frame.code, message: frame.message });
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
    // Earlier commands took effect only if they are in `accepted`. Replies that the lost connection did not deliver are completed here.
    for (const n of [...this.#pending.keys()].sort((one, other) => one - other)) {
      if (frame.accepted.includes(n)) this.#complete(n, { ok: true });
      else this.#complete(n, { ok: false, code: 'LOST', message: 'The command had no effect: the zone or the connection was lost.' });
    }
    this.#moving.clear();
    this.#become('joined');
    this.#resolveJoin({ ok: true });
    this.#options.onZone?.(frame);
  }

  #update({ tick, in: entered, at, set, out }: ServerFrameOf<'update'>): void {
    for (const object of entered) this.#objects.set(object.id, object);
    for (const [id, x, y] of at) this.#change(id, { x, y });
    for (const [id, fields] of set) this.#change(id, fields);
    for (const id of out) this.#objects.delete(id);
    this.#options.onSight?.(tick);
  }

  #change(id: string, fields: Partial<SeenObject>): void {
    const known = this.#objects.get(id);
    if (known) this.#objects.set(id, { ...known, ...fields });
  }

  #complete(n: number, result: CommandAnswer): void {
    const to = this.#moving.get(n);
    this.#moving.delete(n);
    if (to && result.ok && this.#you) this.#you = { ...this.#you, ...to };
    const resolve = this.#pending.get(n);
    this.#pending.delete(n);
    resolve?.(result);
  }

  #resolveJoin(result: CommandAnswer): void {
    for (const resolve of this.#joinWaiters.splice(0)) resolve(result);
  }

  #command(frameOf: (n: number) => ClientFrame): Promise<CommandAnswer> {
    if (this.#state !== 'joined') return Promise.resolve({ ok: false, code: 'NOT_JOINED', message: `The client is ${this.#state}.` });
    const n = ++this.#n;
    return new Promise((resolve) => {
      this.#pending.set(n, resolve);
      this.#send(frameOf(n));
    });
  }

  #sendJoin(): void {
    const n = ++this.#n;
    this.#pending.set(n, (result) => !result.ok && result.code !== 'ALREADY_JOINED' && result.code !== 'LOST' && this.#resolveJoin(result));
    this.#send({ t: 'join', n });
  }

  #bye(code: string, message: string): void {
    if (code === 'UNKNOWN_SESSION' || !this.#isWelcomed) this.#resume = null;
    if (code === 'UNKNOWN_SESSION') this.#zone = null;
    if (FINAL.includes(code)) this.#end(code, message);
  }

  #end(code: string, message: string): void {
    if (this.#state === 'ended') return;
    this.#become('ended');
    if (this.#retry) clearTimeout(this.#retry);
    this.#transport?.close();
    for (const resolve of this.#pending.values()) resolve({ ok: false, code, message });
    this.#pending.clear();
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
