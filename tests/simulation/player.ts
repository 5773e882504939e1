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

/** An answer that takes longer makes the player drop its connection and come back. */
const PATIENCE_MS = 2_500;
const COMMANDS_OPEN_MAX = 4;
const REACH = 280;
/** Where the zones of the simulated world meet, cm. */
const BORDERS = [6_400, 12_800];

export interface ServerAccess {
  /** Null while the server is down. */
  gateway(): Gateway | null;
  readonly server: Machine;
}

/**
 * A player that acts at random. One that is stubborn sends again what got no answer, with the same number, however often its connection drops: what it sends
 * twice must not happen twice. Another does as the protocol says: it names what got no answer when it resumes, and each command must be answered once.
 */
export class SimulatedPlayer {
  readonly id: string;
  /** When a command was last accepted, ms of the simulation. */
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
  /** Whether its session has been in a zone: then it will be again without asking. */
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

  /** The network drops the connection. */
  drop(): void {
    this.#wire?.break();
  }

  /** Another connection of the same player says hello and joins, and stays until it is replaced. */
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
        // A stubborn one goes on, where it may have been accepted.
        if (frame.code === 'LOST' && this.isStubborn) return;
        // A leave that came late has been done after all.
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
    // Of a join that is under way it is told what became of it.
    if (resumed && !this.isStubborn && [...this.#underWay.values()].some(({ frame }) => frame.t === 'join')) return;
    this.#hasEntered = false;
    // A new session counts anew, and knows nothing of what the old one was asked.
    if (!resumed) this.#n = 0;
    if (!resumed || this.isStubborn) this.#underWay.clear();
    this.#ask({ t: 'join', n: ++this.#n });
  }

  #answered(n: number, isAccepted: boolean): void {
    const asked = this.#underWay.get(n);
    this.#underWay.delete(n);
    // As the protocol says of a zone that cannot take it now: try again in a moment.
    if (asked?.frame.t === 'join' && !isAccepted) this.#joinLater();
    if (asked?.frame.t === 'leave' && isAccepted) this.#left();
    // There is no way: another direction then, instead of the same for seconds.
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
      // Mostly east or west: that is where the other zones are.
      this.#heading = {
        x: Math.cos(direction),
        y: isDirect ? Math.sin(direction) : Math.sin(direction) / 4,
        until: this.#scheduler.now + this.#scheduler.between(500, 6_000),
      };
    }
    return { t: 'move', n, x: Math.round(x + this.#heading.x * 240), y: Math.round(y + this.#heading.y * 240) };
  }

  /** To an item; with one in the bag, over the nearest border; or anywhere. */
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

/** A connection of a player that says hello and joins, and nothing else. */
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
