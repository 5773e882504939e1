import { type ClientFrame, type PlayerId, type ServerFrame, WORLD_PROTOCOL, type ZoneId } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import type { HostPort, ToZoneHost } from '../../messages.ts';
import type { Connection } from '../connection.ts';
import { Gateway } from '../gateway.ts';
import { decodeBody, encodeFrame } from '../wire.ts';

export const ZONES = ['0-0', '1-0', '2-0'] as ZoneId[];
export const kim = 'p-kim' as PlayerId;
export const FRAME = encodeFrame({ t: 'ping', id: 1 });

export interface Client {
  readonly connection: Connection;
  readonly received: ServerFrame[];
  say(frame: ClientFrame): void;
  /** The replies to its commands. */
  replies(): string[];
}

/** A gateway of three zones, whose hosts send the replies that a test sets. */
export class SmallWorld {
  readonly clock: ManualClock;
  readonly gateway: Gateway;
  readonly sent: ToZoneHost[] = [];
  readonly #hosts = new Map<ZoneId, HostPort>();

  constructor(clock = new ManualClock()) {
    this.clock = clock;
    let secrets = 0;
    this.gateway = new Gateway({
      clock: this.clock,
      zones: ZONES,
      limits: {
        commandsPerSecond: 100,
        commandsBurst: 100,
        framesPerSecond: 100,
        connectionsMax: 10,
        connectionsPerAddress: 10,
        limitLoopback: false,
        lingerMs: 5_000,
      },
      verify: async (token) => ({ player: token as PlayerId, name: token, user: null }),
      mayPlay: async () => true,
      secret: () => `secret-${++secrets}`,
      busy: () => 0,
    });
    for (const zone of ZONES) {
      const host: HostPort = { id: `host of ${zone}`, send: (message) => this.sent.push(message) };
      this.#hosts.set(zone, host);
      this.open(zone, []);
    }
  }

  /** A zone opens on its host, which reports its players. */
  open(zone: ZoneId, players: PlayerId[], between: PlayerId[] = []): void {
    const host = this.hostOf(zone);
    this.gateway.placed(zone, host);
    this.gateway.received(host, { type: 'zone-players', zone, players, between });
  }

  hostOf(zone: ZoneId): HostPort {
    return this.#hosts.get(zone) as HostPort;
  }

  /** Connects a client, which sends nothing yet. */
  connect(): Omit<Client, 'replies'> {
    const received: ServerFrame[] = [];
    const connection = this.gateway.connect({
      send: (frame) => received.push(decodeBody(frame.subarray(4)) as ServerFrame),
      backlog: () => 0,
      end: () => {},
      remote: '127.0.0.1',
    }) as Connection;
    return { connection, received, say: (frame) => connection.receive(encodeFrame(frame as never)) };
  }

  /** Connects a client with a player’s token and joins. */
  async join(player: PlayerId, resume?: { resume: string; unanswered: number[] }): Promise<Client> {
    const { connection, received, say } = this.connect();
    say({ t: 'hello', v: WORLD_PROTOCOL, ...(resume ?? { token: player }) });
    await this.clock.advance(0);
    if (!resume) say({ t: 'join', n: 1 });
    const replies = () =>
      received.flatMap((frame) => (frame.t === 'ok' ? [`ok ${frame.n}`] : frame.t === 'refused' ? [`${frame.code} ${frame.n}`] : []));
    return { connection, received, say, replies };
  }

  /** Each `enter` that zones received since the last call. */
  enters(): (ToZoneHost & { type: 'enter' })[] {
    return this.sent.splice(0).filter((message) => message.type === 'enter');
  }

  reply(enter: ToZoneHost & { type: 'enter' }, code: string | null = null, accepted: number[] = []): void {
    const { handle, zone, player, n } = enter;
    const host = this.hostOf(zone);
    if (code === null)
      this.gateway.received(host, { type: 'entered', handle, zone, player, session: enter.session, frame: FRAME, accepted });
    else this.gateway.received(host, { type: 'left', handle, zone, n, code });
  }

  /** Every zone replies to the queries for a player’s location. */
  async locate(found: (zone: ZoneId) => 'here' | 'between' | 'nowhere'): Promise<number> {
    const questions = this.sent.splice(0).filter((message) => message.type === 'question');
    for (const { ask, question } of questions)
      this.gateway.received(this.hostOf(question.zone), { type: 'answer', ask, answer: { found: found(question.zone) } });
    await this.clock.advance(0);
    return questions.length;
  }
}
