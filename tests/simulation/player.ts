import {
  type ClientFrame,
  FrameSplitter,
  ITEM_KINDS,
  LENGTH_BYTES,
  SERVER_FRAME_BYTES_MAX,
  type SeenObject,
  type ServerFrame,
  type ServerFrameOf,
  WORLD_PROTOCOL,
  writeLength,
  type Yourself,
} from '@millrace/contracts';
import type { Gateway } from '@millrace/worlds';
import { Packr, Unpackr } from 'msgpackr';
import { type Circumstances, ClientModel, type Command } from './client-model.ts';
import { Wire } from './network.ts';
import type { Machine, Scheduler } from './scheduler.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

/** Timeout of a reply. After it the player closes its connection and reconnects. */
const PATIENCE_MS = 2_500;
const COMMANDS_OPEN_MAX = 4;
const REACH = 280;
/** Borders between the zones of the simulated world, cm. */
const BORDERS = [6_400, 12_800];

export interface ServerAccess {
  /** Null while the server is down. */
  gateway(): Gateway | null;
  readonly server: Machine;
}

/**
 * A player that acts at random. A stubborn one repeats commands without a reply, with the same number, after each lost connection: a repetition must have
 * no second effect. Others follow the protocol: they list commands without a reply when they resume, and each command must have one reply.
 */
export class SimulatedPlayer {
  readonly id: string;
  /** Time of the newest accepted command, ms of the simulation. */
  acceptedAt = 0;
  accepted = 0;
  isActing = true;
  readonly isStubborn: boolean;
  readonly model: ClientModel;
  readonly #scheduler: Scheduler;
  readonly #access: ServerAccess;
  #wire: Wire | null = null;
  #send: (frame: ClientFrame) => void = () => {};
  #resume: string | null = null;
  #isIn = false;
  /** Whether its session has been in a zone: then it enters again without a join. */
  #hasEntered = false;
  #n = 0;
  readonly #underWay = new Map<number, { frame: Command; at: number }>();
  #heading = { x: 0, y: 0, until: 0 };

  constructor(
    id: string,
    scheduler: Scheduler,
    access: ServerAccess,
    { isStubborn, ...circumstances }: Circumstances & { isStubborn: boolean },
  ) {
    this.id = id;
    this.isStubborn = isStubborn;
    this.model = new ClientModel(id, circumstances, isStubborn);
    this.#scheduler = scheduler;
    this.#access = access;
    scheduler.at(scheduler.between(0, 1_000), () => this.#connect());
    this.#act();
  }

  get isPlaying(): boolean {
    return this.#isIn;
  }

  /** Loses the connection. */
  drop(): void {
    this.#wire?.break();
  }

  /** Opens another connection of the same player, which sends hello and joins, and stays until it is replaced. */
  rival(): void {
    sayHello(this.id, this.#scheduler, this.#access);
  }

  #connect(): void {
    const gateway = this.#access.gateway();
    const again = () => this.#scheduler.at(this.#scheduler.now + this.#scheduler.between(50, 800), () => this.#connect());
    if (!gateway || !this.#access.server.isUp || this.#access.server.isPaused) return void again();
    const { wire, say } = open(
      { gateway, scheduler: this.#scheduler, access: this.#access },
      (frame) => this.#take(frame),
      () => {
        this.#wire = null;
        this.#isIn = false;
        again();
      },
    );
    this.#wire = wire;
    this.#send = say;
    if (this.#resume === null) {
      this.model.ended();
      return this.#send({ t: 'hello', v: WORLD_PROTOCOL, token: this.id });
    }
    const unanswered = this.isStubborn ? [] : [...this.#underWay.keys()];
    this.#send({ t: 'hello', v: WORLD_PROTOCOL, resume: this.#resume, last: this.model.session?.e ?? 0, unanswered });
  }

  #take(frame: ServerFrame): void {
    this.model.received(frame);
    switch (frame.t) {
      case 'welcome':
        return this.#welcomed(frame);
      case 'zone':
        this.#isIn = true;
        this.#hasEntered = true;
        if (this.isStubborn) for (const { frame: again } of this.#underWay.values()) this.#send(again);
        return;
      case 'ok':
        return this.#answered(frame.n, true);
      case 'refused':
        // A stubborn player continues, because the command may have been accepted.
        if (frame.code === 'LOST' && this.isStubborn) return;
        // A late leave was executed.
        if (frame.code === 'NOT_JOINED' && this.#isIn) this.#left();
        return this.#answered(frame.n, false);
      case 'ping':
        return this.#send({ t: 'pong', id: frame.id });
      case 'bye':
        if (frame.code === 'UNKNOWN_SESSION' || frame.code === 'KICKED') this.#resume = null;
        return;
      default:
        return;
    }
  }

  #welcomed({ resume, resumed }: ServerFrameOf<'welcome'>): void {
    this.#resume = resume;
    if (resumed && this.#hasEntered) return;
    // The outcome of a pending join is sent.
    if (resumed && !this.isStubborn && [...this.#underWay.values()].some(({ frame }) => frame.t === 'join')) return;
    this.#hasEntered = false;
    // A new session has new command numbers, and knows none of the old ones.
    if (!resumed) this.#n = 0;
    if (!resumed || this.isStubborn) this.#underWay.clear();
    this.#ask({ t: 'join', n: ++this.#n });
  }

  #answered(n: number, isAccepted: boolean): void {
    const asked = this.#underWay.get(n);
    this.#underWay.delete(n);
    // The protocol tells clients to retry when the zone is temporarily unavailable.
    if (asked?.frame.t === 'join' && !isAccepted) this.#joinLater();
    if (asked?.frame.t === 'leave' && isAccepted) this.#left();
    // Blocked: choose another direction instead of repeating this one for seconds.
    if (asked?.frame.t === 'move' && !isAccepted) this.#heading.until = 0;
    if (!asked || !isAccepted) return;
    this.accepted++;
    this.acceptedAt = this.#scheduler.now;
  }

  #left(): void {
    this.#isIn = false;
    this.#hasEntered = false;
    this.#joinLater();
  }

  #act(): void {
    this.#scheduler.at(this.#scheduler.now + this.#scheduler.between(200, 600), () => {
      this.#act();
      const [oldest] = this.#underWay.values();
      if (oldest && this.#scheduler.now - oldest.at > PATIENCE_MS) {
        for (const asked of this.#underWay.values()) asked.at = this.#scheduler.now;
        this.drop();
      }
      const { you } = this.model;
      if (this.isActing && this.#isIn && you && this.#underWay.size < COMMANDS_OPEN_MAX) this.#ask(this.#wish(you));
    });
  }

  #joinLater(): void {
    const wire = this.#wire;
    this.#scheduler.at(this.#scheduler.now + this.#scheduler.between(200, 1_000), () => {
      const isJoining = [...this.#underWay.values()].some(({ frame }) => frame.t === 'join');
      if (this.#wire === wire && wire !== null && !this.#isIn && !isJoining) this.#ask({ t: 'join', n: ++this.#n });
    });
  }

  #wish({ x, y, bag }: Yourself): Command {
    const n = ++this.#n;
    const items = [...this.model.sight.values()].filter(({ kind }) => kind in ITEM_KINDS);
    const near = items.find((item) => Math.hypot(item.x - x, item.y - y) <= REACH);
    const carried = bag[0];
    const roll = this.#scheduler.between(0, 1);
    if (near && roll < 0.5) return { t: 'take', n, item: near.id };
    if (carried && roll < 0.05) return { t: 'use', n, item: carried.id };
    if (roll < 0.11 && !this.isStubborn) return { t: 'leave', n };
    if (roll < 0.15) return { t: 'say', n, text: `${this.id} ${n}` };
    if (this.#scheduler.now > this.#heading.until) {
      const direction = this.#direction({ x, y }, carried ? [] : items);
      const isDirect = carried !== undefined || items.length > 0;
      // Mostly east or west, where the other zones are.
      this.#heading = {
        x: Math.cos(direction),
        y: isDirect ? Math.sin(direction) : Math.sin(direction) / 4,
        until: this.#scheduler.now + this.#scheduler.between(500, 6_000),
      };
    }
    return { t: 'move', n, x: Math.round(x + this.#heading.x * 240), y: Math.round(y + this.#heading.y * 240) };
  }

  /** Target of a move: an item; with an item in the bag, the nearest border; or a random position. */
  #direction({ x, y }: { x: number; y: number }, items: readonly SeenObject[]): number {
    if (this.#scheduler.chance(0.4)) return this.#scheduler.between(0, 2 * Math.PI);
    if (items.length === 0)
      return BORDERS.reduce((one, other) => (Math.abs(one - x) < Math.abs(other - x) ? one : other)) > x ? 0 : Math.PI;
    const { x: toX, y: toY } = this.#scheduler.pick(items);
    return Math.atan2(toY - y, toX - x);
  }

  #ask(frame: Command): void {
    this.#underWay.set(frame.n, { frame, at: this.#scheduler.now });
    this.model.sent(frame);
    this.#send(frame);
  }
}

function bytesOf(frame: ClientFrame): Buffer {
  const body = packr.pack(frame);
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + body.length);
  writeLength(bytes, body.length);
  body.copy(bytes, LENGTH_BYTES);
  return bytes;
}

/** A connection of a player that only sends hello and joins. */
export function sayHello(player: string, scheduler: Scheduler, access: ServerAccess): void {
  const gateway = access.gateway();
  if (!gateway || !access.server.isUp || access.server.isPaused) return;
  const { say } = open(
    { gateway, scheduler, access },
    (frame) => frame.t === 'welcome' && say({ t: 'join', n: 1 }),
    () => {},
  );
  say({ t: 'hello', v: WORLD_PROTOCOL, token: player });
}

/** Connects to a gateway. */
function open(
  { gateway, scheduler, access }: { gateway: Gateway; scheduler: Scheduler; access: ServerAccess },
  onFrame: (frame: ServerFrame) => void,
  onBroken: () => void,
): { wire: Wire; say: (frame: ClientFrame) => void } {
  const splitter = new FrameSplitter(SERVER_FRAME_BYTES_MAX);
  const wire = new Wire(scheduler, () => {
    onBroken();
    access.server.after(scheduler.between(0, 500), () => connection?.closed());
  });
  const connection = gateway.connect({
    send: (frame) => {
      const bytes = Uint8Array.from(frame);
      wire.carry('back', null, () => splitter.push(bytes, (body) => onFrame(unpackr.unpack(body) as ServerFrame)));
    },
    backlog: () => 0,
    end: () => wire.carry('back', null, () => wire.break()),
    remote: '10.0.0.1',
  });
  const say = (frame: ClientFrame) => {
    const bytes = bytesOf(frame);
    wire.carry('there', access.server, () => connection?.receive(bytes));
  };
  return { wire, say };
}
