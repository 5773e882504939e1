import {
  ACCEPTED_WINDOW,
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
import { callListener } from '../call-listener.ts';
import { ReconnectingConnection } from './connection.ts';
import { RetryTimer } from './retry-timer.ts';
import type { Connect } from './transport.ts';

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

const LOST: CommandAnswer = { ok: false, code: 'LOST', message: 'The command had no effect: the zone or the connection was lost.' };
const OUTCOME_UNKNOWN: CommandAnswer = {
  ok: false,
  code: 'OUTCOME_UNKNOWN',
  message: 'The session ended before the reply arrived. The command may have had an effect: read the state after the next join.',
};
/** Codes of a `join` without a decision of the zone: the client joins again at once, and a call of `join` waits on. */
const UNDECIDED_JOIN: readonly string[] = ['LOST', 'OUTCOME_UNKNOWN'];
/** Delays before a refused `join` that no call waits for is repeated: a zone moves within seconds, and one that is full may stay so for long. */
const JOIN_RETRY = { firstMs: 500, mostMs: 10_000 };

/**
 * Result of a command. Of the codes, `LOST`: the connection or the host of the zone failed before the command took effect. `OUTCOME_UNKNOWN`: the session
 * ended before the reply arrived. `BUSY`: too many commands have no result yet. `NOT_JOINED`: the player is in no zone.
 */
export type CommandAnswer = { ok: true } | { ok: false; code: string; message: string };

export interface WorldEvents {
  /** `online` after the `welcome` of the server; `joined` when the player is in a zone. */
  onState?(state: WorldClient['state']): void;
  /** The player entered a zone, or resumed in it. */
  onZone?(zone: ServerFrameOf<'zone'>): void;
  /** The visible objects changed: read `objects` and `you`. */
  onSight?(tick: number): void;
  onNotice?(notice: ServerFrameOf<'notice'>): void;
  /** Notices were missed while the connection was lost, and the server does not have them any more. */
  onNoticesMissed?(): void;
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
 * resolve with a result and do not reject. Positions are whole centimetres. An exception of a callback does not affect the client; it is reported as uncaught.
 *
 *     const world = new WorldClient({ connect: tcp({ host, port }), token, onSight: () => draw(world.you, world.objects) });
 *     await world.join();
 *     const result = await world.move(world.you.x + 100, world.you.y);
 *     if (!result.ok) console.log(result.code);
 */
export class WorldClient {
  readonly #options: WorldClientOptions;
  readonly #connection: ReconnectingConnection;
  #state: 'connecting' | 'online' | 'joined' | 'ended' = 'connecting';
  #you: Yourself | null = null;
  #zone: ServerFrameOf<'zone'> | null = null;
  readonly #objects = new Map<string, SeenObject>();
  /** Commands without a reply, in the order of their numbers. */
  readonly #pending = new Map<number, (result: CommandAnswer) => void>();
  readonly #moving = new Map<number, { x: number; y: number }>();
  #n = 0;
  /** The newest command of earlier connections. Later ones get their replies on this connection. */
  #nBefore = 0;
  #resume: string | null = null;
  #wasWelcomed = false;
  #lastNotice = 0;
  /** Whether the player shall be in the world: since `join`, until `leave`. */
  #shouldJoin = false;
  /** Whether it has been in the world since `join`. */
  #hasJoined = false;
  /** Number of the `join` without a reply. */
  #joinN: number | null = null;
  /** Result of the `leave` without a reply. */
  #leaving: Promise<CommandAnswer> | null = null;
  #joinWaiters: ((result: CommandAnswer) => void)[] = [];
  readonly #joinRetry = new RetryTimer(JOIN_RETRY);
  #end: { ok: false; code: string; message: string } | null = null;

  constructor(options: WorldClientOptions) {
    this.#options = options;
    this.#connection = new ReconnectingConnection(options.connect, {
      onOpen: () => this.#hello(),
      onFrame: (frame) => this.#handle(frame),
      onLost: () => this.#become('connecting'),
    });
    this.#connection.open();
  }

  get state(): 'connecting' | 'online' | 'joined' | 'ended' {
    return this.#state;
  }

  /** State of the player on the server; null while it is in no zone. */
  get you(): Yourself | null {
    return this.#you;
  }

  /** Current zone, with its map; null while the player is in no zone. */
  get zone(): ServerFrameOf<'zone'> | null {
    return this.#zone;
  }

  /** Visible objects by id, including the player. */
  get objects(): ReadonlyMap<string, SeenObject> {
    return this.#objects;
  }

  /**
   * Joins the world, and joins again after reconnects, until `leave`. If the zone refuses the first time, the result has the code, and you may call `join`
   * again. After a reconnect, the client repeats a refused `join` itself.
   */
  join(): Promise<CommandAnswer> {
    if (this.#end) return Promise.resolve(this.#end);
    this.#shouldJoin = true;
    return new Promise((resolve) => {
      this.#joinWaiters.push(resolve);
      this.#pursueJoin();
    });
  }

  /** Leaves the world. While the client connects or joins, the result is `NOT_JOINED`; the player leaves as soon as it has joined. */
  leave(): Promise<CommandAnswer> {
    this.#shouldJoin = false;
    this.#hasJoined = false;
    this.#joinRetry.reset();
    this.#resolveJoin({ ok: false, code: 'NOT_JOINED', message: 'leave() was called before the player had joined.' });
    if (this.#leaving !== null) return this.#leaving;
    return this.#state === 'joined' ? this.#leave('is called now') : Promise.resolve(this.#notJoined());
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
    this.#connection.drop();
  }

  /** Closes the client. It does not reconnect. */
  close(): void {
    this.#finish('CLOSED', 'closed here');
  }

  #hello(): void {
    this.#nBefore = this.#n;
    if (this.#resume === null) return this.#connection.send({ t: 'hello', v: WORLD_PROTOCOL, token: this.#options.token });
    const unanswered = [...this.#pending.keys()].slice(-UNANSWERED_MAX);
    this.#connection.send({ t: 'hello', v: WORLD_PROTOCOL, resume: this.#resume, last: this.#lastNotice, unanswered });
  }

  #handle(frame: ServerFrame): void {
    switch (frame.t) {
      case 'welcome':
        return this.#welcomed(frame);
      case 'zone':
        return this.#entered(frame);
      case 'view':
        this.#objects.clear();
        for (const object of frame.objects) this.#objects.set(object.id, object);
        return this.#notify(() => this.#options.onSight?.(frame.tick));
      case 'update':
        return this.#update(frame);
      case 'you':
        this.#you = frame.you;
        return this.#notify(() => this.#options.onSight?.(0));
      case 'ok':
        return this.#complete(frame.n, { ok: true });
      case 'refused':
        this.#moving.delete(frame.n);
        if (this.#you && frame.x !== undefined && frame.y !== undefined) this.#you = { ...this.#you, x: frame.x, y: frame.y };
        this.#notify(() => this.#options.onCorrected?.(frame));
        return this.#complete(frame.n, { ok: false, code: frame.code, message: frame.message });
      case 'notice':
        this.#lastNotice = frame.e;
        return this.#notify(() => this.#options.onNotice?.(frame));
      case 'ping':
        return this.#connection.send({ t: 'pong', id: frame.id });
      case 'bye':
        if (frame.code === 'UNKNOWN_SESSION') this.#resume = null;
        if (FINAL.includes(frame.code)) this.#finish(frame.code, frame.message);
        return;
      default:
        return;
    }
  }

  #welcomed({ resume, resumed, gap, heartbeatMs }: ServerFrameOf<'welcome'>): void {
    const isFirst = !this.#wasWelcomed;
    this.#wasWelcomed = true;
    this.#resume = resume;
    this.#connection.welcomed(heartbeatMs);
    this.#become('online');
    if (!resumed) {
      // Another session: the player sleeps, and no zone will report the commands of the earlier one.
      this.#lastNotice = 0;
      this.#leftWorld();
      for (const n of [...this.#pending.keys()]) this.#complete(n, OUTCOME_UNKNOWN);
    }
    if (gap || (!resumed && !isFirst)) this.#notify(() => this.#options.onNoticesMissed?.());
    this.#pursueJoin();
  }

  #entered(frame: ServerFrameOf<'zone'>): void {
    this.#zone = frame;
    this.#you = frame.you;
    this.#objects.clear();
    // Commands of this connection get their replies, before this frame or after it. Those of earlier ones without a reply were not in the `hello`.
    for (const n of [...this.#pending.keys()].filter((each) => each <= this.#nBefore)) {
      // `you` is newer than the target of this move.
      this.#moving.delete(n);
      this.#complete(n, frame.accepted.includes(n) ? { ok: true } : LOST);
    }
    this.#become('joined');
    this.#pursueJoin();
    this.#notify(() => this.#options.onZone?.(frame));
    if (!this.#shouldJoin && this.#leaving === null && this.#state === 'joined') void this.#leave('was called earlier');
  }

  #update({ tick, in: entered, at, set, out }: ServerFrameOf<'update'>): void {
    for (const object of entered) this.#objects.set(object.id, object);
    for (const [id, x, y] of at) this.#change(id, { x, y });
    for (const [id, fields] of set) this.#change(id, fields);
    for (const id of out) this.#objects.delete(id);
    this.#notify(() => this.#options.onSight?.(tick));
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

  #command(frameOf: (n: number) => ClientFrame): Promise<CommandAnswer> {
    if (this.#state !== 'joined') return Promise.resolve(this.#notJoined());
    // The server reports the outcome of so many commands only when a connection or a host is lost.
    const [oldest = this.#n + 1] = this.#pending.keys();
    if (this.#n + 1 - oldest > ACCEPTED_WINDOW)
      return Promise.resolve({
        ok: false,
        code: 'BUSY',
        message: `Command ${oldest} and later ones have no reply yet. Wait for their results.`,
      });
    return new Promise((resolve) => this.#sendCommand(frameOf, resolve));
  }

  #sendCommand(frameOf: (n: number) => ClientFrame, resolve: (result: CommandAnswer) => void): number {
    const n = ++this.#n;
    this.#pending.set(n, resolve);
    this.#connection.send(frameOf(n));
    return n;
  }

  /** Sends a `join` when one is due, or resolves the calls of `join` when the player is in the world. */
  #pursueJoin(): void {
    if (!this.#shouldJoin || this.#leaving !== null) return;
    if (this.#state === 'joined') {
      this.#hasJoined = true;
      this.#joinRetry.reset();
      return this.#resolveJoin({ ok: true });
    }
    // A resumed session that is still in its zone receives a `zone` frame.
    if (this.#state !== 'online' || this.#joinN !== null || this.#zone !== null) return;
    this.#joinRetry.cancel();
    this.#joinN = this.#sendCommand(
      (n) => ({ t: 'join', n }),
      (result) => {
        this.#joinN = null;
        if (!result.ok) this.#joinRefused(result);
      },
    );
  }

  #joinRefused(result: CommandAnswer & { ok: false }): void {
    if (result.code === 'ALREADY_JOINED' || this.#end) return;
    if (UNDECIDED_JOIN.includes(result.code)) return this.#pursueJoin();
    const isAutomatic = this.#hasJoined || this.#joinWaiters.length === 0;
    this.#resolveJoin(result);
    // After INVALID_FRAME, the server does not understand this client, and would refuse a repeat, too.
    if (this.#shouldJoin && isAutomatic && result.code !== 'INVALID_FRAME') this.#joinRetry.schedule(() => this.#pursueJoin());
  }

  /** @param when after a refusal, the next `zone` frame repeats a `leave` that the application called earlier */
  #leave(when: 'is called now' | 'was called earlier'): Promise<CommandAnswer> {
    this.#leaving = new Promise((resolve) => {
      this.#sendCommand(
        (n) => ({ t: 'leave', n }),
        (result) => {
          this.#leaving = null;
          if (result.ok || result.code === 'NOT_JOINED') {
            this.#leftWorld();
            if (this.#state === 'joined') this.#become('online');
          } else if (this.#zone && when === 'is called now') this.#shouldJoin = true;
          resolve(result);
          this.#pursueJoin();
        },
      );
    });
    return this.#leaving;
  }

  #leftWorld(): void {
    this.#zone = null;
    this.#you = null;
    this.#objects.clear();
    this.#moving.clear();
  }

  #notJoined(): CommandAnswer {
    return { ok: false, code: 'NOT_JOINED', message: `The client is ${this.#state}.` };
  }

  #resolveJoin(result: CommandAnswer): void {
    for (const resolve of this.#joinWaiters.splice(0)) resolve(result);
  }

  #finish(code: string, message: string): void {
    if (this.#end) return;
    this.#end = { ok: false, code, message };
    this.#shouldJoin = false;
    this.#joinRetry.reset();
    this.#become('ended');
    this.#connection.close();
    for (const n of [...this.#pending.keys()]) this.#complete(n, this.#end);
    this.#resolveJoin(this.#end);
    callListener(() => this.#options.onEnd?.(code, message));
  }

  /** Calls a callback of the application, but none after the client has ended: `onEnd` is the last. */
  #notify(callback: () => void): void {
    if (this.#end === null) callListener(callback);
  }

  #become(state: WorldClient['state']): void {
    if (this.#state === state || this.#state === 'ended') return;
    this.#state = state;
    callListener(() => this.#options.onState?.(state));
  }
}
