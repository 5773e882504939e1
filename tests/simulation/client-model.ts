import {
  type ClientFrame,
  ITEM_KINDS,
  type SeenObject,
  type ServerFrame,
  type ServerFrameOf,
  WORLD_TICK_MS,
  type Yourself,
} from '@millrace/contracts';

/*
 * Model of a client, from its frames alone: written from docs/protocols/world.md, without code of the server. It has position, bag, n, e, zone and visible
 * objects after each frame, and records each frame that contradicts earlier ones.
 */

/** Side of a zone, cm. */
const ZONE_SIDE = 6_400;
/** Window below the newest accepted number for which a `zone` frame lists the accepted ones. */
const ACCEPTED_BELOW = 48;
/** Refusals of a repetition that leave the outcome of the first command open. */
export const REPEATED = 'DUPLICATE_COMMAND';
const COUNTED: readonly string[] = ['move', 'take', 'use', 'say'];

export type Command = Extract<ClientFrame, { n: number }>;

/** Faults and operator actions that affect a player besides the commands of its client. */
export interface Circumstances {
  /** Whether messages of a host may be lost, duplicated or reordered: then visible objects may be old, and are not checked. */
  readonly areFramesLost: boolean;
  /** Whether wall clocks are changed: then ticks may go back. */
  readonly areClocksSet: boolean;
  /** Whether operators may have changed positions and bags of players. */
  readonly areEdited: boolean;
}

interface Place {
  readonly x: number;
  readonly y: number;
}

/** Zone, position and visible objects, according to the client. */
export interface Belief {
  readonly zone: string | null;
  readonly you: Yourself | null;
  readonly sight: ReadonlyMap<string, SeenObject>;
  /** Its session, and the newest accepted command of the session. */
  readonly session: { readonly id: string; readonly n: number } | null;
}

/** One session, from its `welcome` on. */
interface SessionModel {
  readonly id: string;
  readonly sent: Map<number, Command>;
  /** The reply to each command: null for `ok`, otherwise the code. */
  readonly answers: Map<number, string | null>;
  /** Commands with `ok` that a later `zone` frame does not list: a crash has undone them. */
  readonly undone: Set<number>;
  /** The newest command that is known as accepted and not undone. */
  n: number;
  e: number;
}

export class ClientModel {
  readonly mistakes: string[] = [];
  readonly sessions: SessionModel[] = [];
  zone: string | null = null;
  you: Yourself | null = null;
  readonly sight = new Map<string, SeenObject>();
  readonly #player: string;
  readonly #circumstances: Circumstances;
  /** Whether the client repeats commands without a reply, and so may get two replies. */
  readonly #repeats: boolean;
  readonly #taken = new Set<string>();
  #session: SessionModel | null = null;
  #tick = 0;
  #isGap = false;
  #frames = 0;

  constructor(player: string, circumstances: Circumstances, repeats: boolean) {
    this.#player = player;
    this.#circumstances = circumstances;
    this.#repeats = repeats;
  }

  /** The session that the newest `welcome` named. */
  get session(): SessionModel | null {
    return this.#session;
  }

  /** Current state of the model. */
  belief(): Belief {
    const { zone, you, sight } = this;
    return structuredClone({ zone, you, sight, session: this.#session && { id: this.#session.id, n: this.#session.n } });
  }

  /** Commands of the session without a reply. */
  get unanswered(): number[] {
    const { sent, answers } = this.#session ?? { sent: new Map<number, Command>(), answers: new Map() };
    return [...sent.keys()].filter((n) => !answers.has(n));
  }

  sent(command: Command): void {
    this.#session?.sent.set(command.n, command);
    if (command.t === 'take') this.#taken.add(command.item);
  }

  received(frame: ServerFrame): void {
    this.#frames++;
    switch (frame.t) {
      case 'welcome':
        return this.#welcome(frame);
      case 'ok':
        return this.#answer(frame.n, null);
      case 'refused':
        this.#answer(frame.n, frame.code);
        if (frame.x !== undefined && frame.y !== undefined) this.#putAt({ x: frame.x, y: frame.y }, `the refusal of ${frame.n}`);
        return;
      case 'zone':
        return this.#enter(frame);
      case 'you':
        this.#see(frame.you, 'you');
        return;
      case 'view':
        this.#ticked(frame.tick);
        this.sight.clear();
        for (const object of frame.objects) this.sight.set(object.id, { ...object });
        return;
      case 'update':
        return this.#update(frame);
      case 'notice':
        return this.#notice(frame.e);
    }
  }

  /** Ends the session: its pending commands get no reply. */
  ended(): void {
    this.#session = null;
    this.zone = null;
    this.you = null;
  }

  #welcome({ session: id, resumed, gap, player }: ServerFrameOf<'welcome'>): void {
    if (player !== this.#player) this.#wrong(`the welcome is for ${player}`);
    if (resumed !== (this.#session !== null)) this.#wrong(`session ${id} is ${resumed ? '' : 'not '}resumed, which was not asked for`);
    if (resumed && id !== this.#session?.id) this.#wrong(`session ${this.#session?.id} was resumed as ${id}`);
    this.#isGap = gap;
    this.#tick = 0;
    if (resumed) return;
    this.#session = { id, sent: new Map(), answers: new Map(), undone: new Set(), n: 0, e: 0 };
    this.sessions.push(this.#session);
    this.zone = null;
  }

  #answer(n: number, code: string | null): void {
    const session = this.#session;
    const command = session?.sent.get(n);
    if (!session || !command) return this.#wrong(`command ${n} was answered and never sent`);
    const before = session.answers.get(n);
    if (before !== undefined && !this.#repeats) return this.#wrong(`command ${n} was answered twice: ${before ?? 'ok'}, ${code ?? 'ok'}`);
    // A repeated command that was accepted is DUPLICATE_COMMAND: the first reply counts.
    if (before === null) return;
    session.answers.set(n, code);
    if (code !== null) return;
    if (COUNTED.includes(command.t)) session.n = Math.max(session.n, n);
    if (command.t === 'move' && this.you && this.#isHere(command)) this.you = { ...this.you, x: command.x, y: command.y };
    if (command.t === 'leave') this.zone = null;
  }

  /** Whether a position lies in the zone of the client: `ok` may arrive after the `zone` frame of the next zone. */
  #isHere({ x, y }: Place): boolean {
    return this.zone === `${Math.floor(x / ZONE_SIDE)}-${Math.floor(y / ZONE_SIDE)}`;
  }

  #enter({ zone, n, accepted, you }: ServerFrameOf<'zone'>): void {
    const session = this.#session;
    if (!session) return this.#wrong(`zone ${zone} comes before a welcome`);
    this.zone = zone;
    this.sight.clear();
    this.#tick = 0;
    if (!this.#isHere(you)) this.#wrong(`(${you.x}, ${you.y}) is not in zone ${zone}`);
    if (n !== (accepted.at(-1) ?? 0)) this.#wrong(`${n} is the newest accepted command, and [${accepted}] are accepted`);
    for (const number of accepted) {
      const answer = session.answers.get(number);
      if (!session.sent.has(number)) this.#wrong(`zone ${zone} accepted command ${number}, which was never sent`);
      else if (typeof answer === 'string' && !this.#repeats && answer !== REPEATED && !this.#circumstances.areFramesLost)
        this.#wrong(`zone ${zone} accepted command ${number}, which was refused: ${answer}`);
      session.undone.delete(number);
    }
    for (const [number, answer] of session.answers)
      if (answer === null && number > n - ACCEPTED_BELOW && isCounted(session.sent.get(number)) && !accepted.includes(number))
        session.undone.add(number);
    session.n = n;
    this.you = null;
    this.#see(you, `zone ${zone}`);
  }

  /** @param frame the frame with this information */
  #see(you: Yourself, frame: string): void {
    if (you.id !== this.#player) this.#wrong(`${frame} tells of ${you.id}`);
    if (you.health < 0 || you.health > you.most) this.#wrong(`${frame} tells of ${you.health} of ${you.most} health`);
    const ids = you.bag.map(({ id }) => id);
    if (new Set(ids).size !== ids.length) this.#wrong(`${frame} tells of a bag with an item twice: ${ids}`);
    for (const { id, item } of you.bag) {
      if (!(item in ITEM_KINDS)) this.#wrong(`${frame} tells of an item of kind ${item}`);
      if (!this.#taken.has(id) && !this.#circumstances.areEdited) this.#wrong(`item ${id} is in the bag, and was never taken`);
    }
    if (this.you && !this.#circumstances.areFramesLost && !this.#circumstances.areEdited) {
      const used = this.#session ? [...this.#session.sent.values()].flatMap((command) => (command.t === 'use' ? [command.item] : [])) : [];
      for (const { id } of this.you.bag)
        if (!ids.includes(id) && !used.includes(id)) this.#wrong(`item ${id} is gone from the bag, and was never used`);
    }
    this.you = structuredClone(you);
  }

  #putAt(place: Place, frame: string): void {
    if (!this.you || this.zone === null || !this.#isHere(place)) return;
    const { x, y } = this.you;
    const isUnderWay = this.unanswered.some((n) => {
      const command = this.#session?.sent.get(n);
      return command?.t === 'move' && command.x === place.x && command.y === place.y;
    });
    const isJudged = !this.#repeats && !this.#circumstances.areFramesLost && !this.#circumstances.areEdited;
    if ((x !== place.x || y !== place.y) && !isUnderWay && isJudged)
      this.#wrong(`${frame} puts it at (${place.x}, ${place.y}), it was at (${x}, ${y}) and asked for no such move`);
    this.you = { ...this.you, ...place };
  }

  #ticked(tick: number): void {
    const { areFramesLost, areClocksSet } = this.#circumstances;
    if (tick < this.#tick && !areFramesLost && !areClocksSet)
      this.#wrong(`tick ${tick} (${tick * WORLD_TICK_MS} ms) comes after ${this.#tick}`);
    this.#tick = tick;
  }

  #update({ tick, in: came, at, set, out }: ServerFrameOf<'update'>): void {
    this.#ticked(tick);
    for (const object of came) this.sight.set(object.id, { ...object });
    for (const [id, x, y] of at) this.#change(id, { x, y });
    for (const [id, fields] of set) this.#change(id, fields);
    for (const id of out)
      if (!this.sight.delete(id) && !this.#circumstances.areFramesLost) this.#wrong(`${id} goes out of sight, and was not in it`);
  }

  #change(id: string, fields: object): void {
    const known = this.sight.get(id);
    if (known) Object.assign(known, fields);
    else if (!this.#circumstances.areFramesLost) this.#wrong(`${id} changes, and is not in sight`);
  }

  #notice(e: number): void {
    const session = this.#session;
    if (!session) return this.#wrong(`notice ${e} comes before a welcome`);
    if (e !== session.e + 1 && !(this.#isGap && e > session.e)) this.#wrong(`notice ${e} comes after ${session.e}`);
    this.#isGap = false;
    session.e = e;
  }

  #wrong(what: string): void {
    this.mistakes.push(`${this.#player}’s client, frame ${this.#frames}: ${what}`);
  }
}

export function isCounted(command: Command | undefined): boolean {
  return command !== undefined && COUNTED.includes(command.t);
}
