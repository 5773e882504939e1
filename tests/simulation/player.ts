import {
  type ClientFrame,
  FrameSplitter,
  LENGTH_BYTES,
  SERVER_FRAME_BYTES_MAX,
  type SeenObject,
  type ServerFrame,
  WORLD_PROTOCOL,
  writeLength,
  type Yourself,
} from '@millrace/contracts';
import type { Gateway } from '@millrace/worlds';
import { Packr, Unpackr } from 'msgpackr';
import { Wire } from './network.ts';
import type { Machine, Scheduler } from './scheduler.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

/** An answer that takes longer makes the player drop its connection and come back. */
const PATIENCE_MS = 2_500;
const UNDER_WAY_MAX = 4;
const REACH = 280;

type Command = Extract<ClientFrame, { n: number }>;

export interface Door {
  /** Null while the server is down. */
  gateway(): Gateway | null;
  readonly server: Machine;
}

/**
 * A player that acts at random and is stubborn: what got no answer it sends again, with the same number, however often its
 * connection drops. What it sends twice must not happen twice.
 */
export class SimulatedPlayer {
  readonly id: string;
  /** When a command was last accepted, ms of the simulation. */
  acceptedAt = 0;
  accepted = 0;
  isActing = true;
  readonly #scheduler: Scheduler;
  readonly #door: Door;
  #wire: Wire | null = null;
  #send: (frame: ClientFrame) => void = () => {};
  #resume: string | null = null;
  #isIn = false;
  /** Whether its session has been in a zone: then it will be again without asking. */
  #hasEntered = false;
  #n = 0;
  #you: Yourself | null = null;
  readonly #underWay = new Map<number, { frame: Command; at: number }>();
  readonly #items = new Map<string, SeenObject>();
  #heading = { x: 0, y: 0, until: 0 };

  constructor(id: string, scheduler: Scheduler, door: Door) {
    this.id = id;
    this.#scheduler = scheduler;
    this.#door = door;
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
    sayHello(this.id, this.#scheduler, this.#door);
  }

  #connect(): void {
    const gateway = this.#door.gateway();
    const again = () => this.#scheduler.at(this.#scheduler.now + this.#scheduler.between(50, 800), () => this.#connect());
    if (!gateway || !this.#door.server.isUp) return void again();
    const { wire, say } = open(
      { gateway, scheduler: this.#scheduler, door: this.#door },
      (frame) => this.#take(frame),
      () => {
        this.#wire = null;
        this.#isIn = false;
        again();
      },
    );
    this.#wire = wire;
    this.#send = say;
    if (this.#resume === null) this.#send({ t: 'hello', v: WORLD_PROTOCOL, token: this.id });
    else this.#send({ t: 'hello', v: WORLD_PROTOCOL, resume: this.#resume, last: 0 });
  }

  #take(frame: ServerFrame): void {
    switch (frame.t) {
      case 'welcome':
        this.#resume = frame.resume;
        if (frame.resumed && this.#hasEntered) return;
        this.#hasEntered = false;
        // A new session counts anew, and knows nothing of what the old one was asked.
        if (!frame.resumed) this.#n = 0;
        this.#underWay.clear();
        return this.#ask({ t: 'join', n: ++this.#n });
      case 'zone':
        this.#isIn = true;
        this.#hasEntered = true;
        this.#you = frame.you;
        this.#items.clear();
        for (const { frame: again } of this.#underWay.values()) this.#send(again);
        return;
      case 'view':
        for (const object of frame.objects) this.#see(object);
        return;
      case 'update':
        for (const object of frame.in) this.#see(object);
        for (const id of frame.out) this.#items.delete(id);
        return;
      case 'you':
        this.#you = frame.you;
        return;
      case 'ok':
        return this.#answered(frame.n, true);
      case 'refused':
        // It goes on, where it may have been accepted.
        if (frame.code === 'LOST') return;
        if (this.#you && frame.x !== undefined && frame.y !== undefined) this.#you = { ...this.#you, x: frame.x, y: frame.y };
        return this.#answered(frame.n, false);
      case 'ping':
        return this.#send({ t: 'pong', id: frame.id });
      case 'bye':
        if (frame.code === 'BAD_RESUME' || frame.code === 'KICKED') this.#resume = null;
        return;
      default:
        return;
    }
  }

  #see(object: SeenObject): void {
    if (object.kind !== 'player' && object.kind !== 'monster') this.#items.set(object.id, object);
  }

  #answered(n: number, isAccepted: boolean): void {
    const asked = this.#underWay.get(n);
    this.#underWay.delete(n);
    // As the protocol says of a zone that cannot take it now: try again in a moment.
    if (asked?.frame.t === 'join' && !isAccepted) this.#joinLater();
    // There is no way: another direction then, instead of the same for seconds.
    if (asked?.frame.t === 'move' && !isAccepted) this.#heading.until = 0;
    if (!asked || !isAccepted) return;
    this.accepted++;
    this.acceptedAt = this.#scheduler.now;
    if (asked.frame.t === 'move' && this.#you) this.#you = { ...this.#you, x: asked.frame.x, y: asked.frame.y };
  }

  #act(): void {
    this.#scheduler.at(this.#scheduler.now + this.#scheduler.between(200, 600), () => {
      this.#act();
      const [oldest] = this.#underWay.values();
      if (oldest && this.#scheduler.now - oldest.at > PATIENCE_MS) {
        for (const asked of this.#underWay.values()) asked.at = this.#scheduler.now;
        this.drop();
      }
      if (this.isActing && this.#isIn && this.#you && this.#underWay.size < UNDER_WAY_MAX) this.#ask(this.#wish(this.#you));
    });
  }

  #joinLater(): void {
    const wire = this.#wire;
    this.#scheduler.at(this.#scheduler.now + this.#scheduler.between(200, 1_000), () => {
      if (this.#wire === wire && wire !== null && !this.#isIn) this.#ask({ t: 'join', n: ++this.#n });
    });
  }

  #wish({ x, y, bag }: Yourself): Command {
    const n = ++this.#n;
    const near = [...this.#items.values()].find((item) => Math.hypot(item.x - x, item.y - y) <= REACH);
    const carried = bag[0];
    const roll = this.#scheduler.between(0, 1);
    if (near && roll < 0.5) return { t: 'take', n, item: near.id };
    if (carried && roll < 0.1) return { t: 'use', n, item: carried.id };
    if (roll < 0.15) return { t: 'say', n, text: `${this.id} ${n}` };
    if (this.#scheduler.now > this.#heading.until) {
      const direction = this.#scheduler.between(0, 2 * Math.PI);
      // Mostly east or west: that is where the other zones are.
      this.#heading = {
        x: Math.cos(direction),
        y: Math.sin(direction) / 4,
        until: this.#scheduler.now + this.#scheduler.between(500, 6_000),
      };
    }
    return { t: 'move', n, x: Math.round(x + this.#heading.x * 240), y: Math.round(y + this.#heading.y * 240) };
  }

  #ask(frame: Command): void {
    this.#underWay.set(frame.n, { frame, at: this.#scheduler.now });
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
export function sayHello(player: string, scheduler: Scheduler, door: Door): void {
  const gateway = door.gateway();
  if (!gateway || !door.server.isUp) return;
  const { say } = open(
    { gateway, scheduler, door },
    (frame) => frame.t === 'welcome' && say({ t: 'join', n: 1 }),
    () => {},
  );
  say({ t: 'hello', v: WORLD_PROTOCOL, token: player });
}

/** Connects to a gateway. */
function open(
  { gateway, scheduler, door }: { gateway: Gateway; scheduler: Scheduler; door: Door },
  onFrame: (frame: ServerFrame) => void,
  onBroken: () => void,
): { wire: Wire; say: (frame: ClientFrame) => void } {
  const splitter = new FrameSplitter(SERVER_FRAME_BYTES_MAX);
  const wire = new Wire(scheduler, () => {
    onBroken();
    door.server.after(scheduler.between(0, 500), () => connection?.closed());
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
    wire.carry('there', door.server, () => connection?.receive(bytes));
  };
  return { wire, say };
}
