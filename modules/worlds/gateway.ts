import {
  type ClientFrame,
  type ClientFrameOf,
  type DisconnectReason,
  type PlayerId,
  type PlayerIntent,
  REFUSALS,
  WORLD_PROTOCOL,
  type WorldCommand,
  type ZoneId,
} from '@millrace/contracts';
import type { Clock, CommandMeta } from '@millrace/kernel';
import { Connection, type RateLimits, type Transport } from './connection.ts';
import { ConnectionLimiter, type ConnectionLimits } from './connection-limiter.ts';
import { Latencies } from './latencies.ts';
import type { FromZoneHost, Handle, HostPort, Question, ToZoneHost, ZoneStats } from './messages.ts';
import { Penalties } from './penalties.ts';
import { PlayerDirectory } from './player-directory.ts';
import { ASK_MS, Questions } from './questions.ts';
import { Session } from './session.ts';
import type { TokenHolder } from './tokens.ts';
import { Traffic, type ZoneTraffic } from './traffic.ts';
import { UpdateBroadcast } from './update-broadcast.ts';
import { UpdateRate } from './update-rate.ts';
import { encodeFrame } from './wire.ts';

const HEARTBEAT_MS = 10_000;
/** Heartbeats a client may leave unanswered. */
const SILENT_BEATS_MAX = 3;
/** How often sessions that wait are looked after. */
const CARE_MS = 250;
/** Care that comes later than this has been held up: the process stood still, or the machine did. */
const STANDSTILL_MS = 1_000;
/** How long an `enter` may stay unanswered before it is sent again. */
const ENTER_RETRY_MS = 1_000;
/** How long a command may stay unanswered. */
const ANSWER_MS_MAX = 5_000;
/** How long a session may wait in a crossing before its player is looked for. */
const TRANSIT_MS = 3_000;
/** How long a newcomer waits for the world to be whole. */
const STARTING_MS = 5_000;

export interface WorldLimits extends RateLimits, ConnectionLimits {
  /** How long a session is kept for a client that was cut off. */
  readonly lingerMs: number;
}

export interface GatewayParts {
  readonly clock: Clock;
  readonly zones: readonly ZoneId[];
  readonly limits: WorldLimits;
  /** Who a token stands for; null when it is not valid. */
  readonly verify: (token: string) => Promise<TokenHolder | null>;
  /** Whether a user may play now. */
  readonly mayPlay: (user: string) => Promise<boolean>;
  /** A word that nobody can guess. */
  readonly secret: () => string;
  /** Share of the time since the last call that this thread was at work, 0 to 1. */
  readonly busy: () => number;
}

/** Handles begin with the time, in ms: between two starts of a server more of those go by than sessions come. */
const HANDLES_FIRST_MAX = 2 ** 31;

/**
 * Where players’ connections end. Knows which zone every player is in and which host has the zone, brings commands there
 * and answers back, and keeps a session while its connection or its zone’s host is replaced.
 */
export class Gateway {
  readonly decisions = new Latencies();
  readonly #parts: GatewayParts;
  readonly #clock: Clock;
  /** When this process was seen to run last, ms of the clock’s `elapsed`. */
  #awakeAt: number;
  readonly #directory: PlayerDirectory;
  readonly #sessions = new Map<Handle, Session>();
  readonly #byPlayer = new Map<PlayerId, Session>();
  readonly #byResume = new Map<string, Session>();
  readonly #connectionLimiter: ConnectionLimiter;
  readonly #questions: Questions;
  readonly #hostStats = new Map<ZoneId, ZoneStats>();
  readonly #traffic: Traffic;
  readonly #pace = new UpdateRate();
  readonly #penalties: Penalties;
  readonly #disconnects = new Map<string, number>();
  readonly #refusals = new Map<string, number>();
  readonly #casting: UpdateBroadcast;
  #answered = 0;
  #failed = 0;
  #leftPlayers = 0;
  /** No handle of an earlier server is given again: what was said to or of that may still be on its way. */
  #handles: number;
  #heartbeats = 0;
  /** Counts what has changed about users. */
  #changes = 0;
  #cancels: (() => void)[] = [];
  #isStopping = false;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    this.#clock = parts.clock;
    this.#handles = Math.floor(parts.clock.now()) % HANDLES_FIRST_MAX;
    this.#connectionLimiter = new ConnectionLimiter(parts.limits, parts.clock);
    this.#directory = new PlayerDirectory(parts.zones);
    this.#casting = new UpdateBroadcast(
      parts.clock,
      ({ handle, zone, host }) => zone !== null && host?.send({ type: 'mute', handle, zone }),
    );
    this.#questions = new Questions(parts.clock, (zone) => this.#directory.hostOf(zone));
    this.#penalties = new Penalties(parts.clock);
    this.#traffic = new Traffic(parts.zones);
    this.#awakeAt = this.#clock.elapsed();
    this.#every(CARE_MS, () => this.#care());
    this.#every(1_000, () => this.#sendHeartbeats());
  }

  // Clients

  /** A client has connected. Its bytes go to the connection this returns; null when there is no room. */
  connect(transport: Transport): Connection | null {
    let session: Session | null = null;
    const connection: Connection = new Connection(transport, this.#clock, this.#parts.limits, {
      onFrame: (frame) => {
        if (session && session.connection === connection) return this.#frame(session, connection, frame);
        if (frame.t !== 'hello' || !this.#connectionLimiter.greets(connection)) return connection.bye('HELLO_REQUIRED');
        void this.#hello(connection, frame).then((greeted) => {
          session = greeted;
        });
      },
      onViolation: (code) => {
        this.#count(this.#refusals, code);
        session?.offended(code);
      },
      onRecovered: () => session?.zone && session.host?.send({ type: 'refresh', handle: session.handle, zone: session.zone }),
      onClosed: (code) => {
        if (code) this.#count(this.#disconnects, code);
        if (code && session) this.#penalties.recordDisconnect(session.player, code);
        this.#connectionLimiter.closed(connection, transport.remote);
        if (session?.connection === connection) this.#detached(session);
      },
    });
    if (this.#connectionLimiter.comes(connection, transport.remote)) return connection;
    connection.bye('TOO_MANY_CONNECTIONS');
    return null;
  }

  async #hello(connection: Connection, hello: ClientFrameOf<'hello'>): Promise<Session | null> {
    if (this.#isStopping) return refuseConnection(connection, 'SERVER_STOPPING');
    if (hello.v !== WORLD_PROTOCOL)
      return refuseConnection(connection, 'UNSUPPORTED_VERSION', `it speaks ${WORLD_PROTOCOL}, the client ${hello.v}`);
    const resumed = hello.resume === undefined ? undefined : this.#byResume.get(hello.resume);
    if (hello.resume !== undefined && !resumed) return refuseConnection(connection, 'UNKNOWN_SESSION');
    if (resumed) {
      if (this.#isBanned(resumed.player, connection)) return null;
      this.#attach(resumed, connection, hello.last ?? 0, true);
      for (const [n, code] of resumed.askedAgain(hello.unanswered ?? [], this.#clock.elapsed()))
        connection.send(code === null ? { t: 'ok', n } : { t: 'refused', n, code, message: REFUSALS[code]?.says ?? '' });
      return resumed;
    }
    const who = hello.token === undefined ? null : await this.#parts.verify(hello.token);
    if (connection.isClosed) return null;
    if (!who) return refuseConnection(connection, 'INVALID_TOKEN');
    if (!(await this.#mayPlay(who.user))) return refuseConnection(connection, 'FORBIDDEN');
    if (connection.isClosed) return null;
    if (this.#isBanned(who.player, connection)) return null;
    const before = this.#byPlayer.get(who.player);
    if (before) {
      this.#forget(before);
      before.connection?.bye('REPLACED');
    }
    const session = new Session({
      handle: ++this.#handles,
      id: this.#parts.secret(),
      resume: this.#parts.secret(),
      ...who,
      now: this.#clock.elapsed(),
    });
    this.#sessions.set(session.handle, session);
    this.#byPlayer.set(session.player, session);
    this.#byResume.set(session.resume, session);
    this.#attach(session, connection, 0, false);
    return session;
  }

  /** Asked again when something has changed meanwhile: what was read may be from before. */
  async #mayPlay(user: string | null): Promise<boolean> {
    if (user === null) return true;
    for (;;) {
      const changes = this.#changes;
      const may = await this.#parts.mayPlay(user);
      if (changes === this.#changes) return may;
    }
  }

  #isBanned(player: PlayerId, connection: Connection): boolean {
    const remainingMs = this.#penalties.remaining(player);
    if (remainingMs > 0) connection.bye('TEMPORARILY_BANNED', `try again in ${Math.ceil(remainingMs / 1_000)} s`);
    return remainingMs > 0;
  }

  #attach(session: Session, connection: Connection, last: number, resumed: boolean): void {
    const before = session.connection;
    session.connection = connection;
    before?.bye('REPLACED');
    const { missed, gap } = session.noticesAfter(last);
    connection.send({
      t: 'welcome',
      v: WORLD_PROTOCOL,
      session: session.id,
      player: session.player,
      resume: session.resume,
      heartbeatMs: HEARTBEAT_MS,
      lingerMs: this.#parts.limits.lingerMs,
      resumed,
      gap: resumed && gap,
      time: Math.floor(this.#clock.now()),
    });
    if (!resumed) return;
    for (const notice of missed) connection.send(notice);
    if (session.stage === 'playing' && session.zone !== null) this.#enter(session, session.zone);
  }

  #detached(session: Session): void {
    session.connection = null;
    session.lostAt = this.#clock.elapsed();
    if (session.zone !== null) session.host?.send({ type: 'mute', handle: session.handle, zone: session.zone });
  }

  #frame(session: Session, connection: Connection, frame: ClientFrame): void {
    switch (frame.t) {
      case 'hello':
        return connection.refuse(0, 'INVALID_FRAME', 'hello was said already.');
      case 'join':
        if (session.stage !== 'lobby') return connection.refuse(frame.n, 'ALREADY_JOINED');
        session.joinN = frame.n;
        session.asked(frame.n, this.#clock.elapsed(), { isCounted: false });
        return this.#place(session);
      case 'leave':
        return this.#leave(session, connection, frame.n);
      case 'move':
        return this.#intend(session, connection, frame.n, { type: 'Move', x: frame.x, y: frame.y });
      case 'take':
        return this.#intend(session, connection, frame.n, { type: 'PickUp', item: frame.item });
      case 'use':
        return this.#intend(session, connection, frame.n, { type: 'Use', item: frame.item });
      case 'say':
        return this.#intend(session, connection, frame.n, { type: 'Say', text: frame.text });
    }
  }

  #intend(session: Session, connection: Connection, n: number, intent: PlayerIntent): void {
    const { stage, zone, host } = session;
    if (stage === 'lobby' || stage === 'starting') return connection.refuse(n, 'NOT_JOINED');
    if (stage !== 'playing' || zone === null || !host) return connection.refuse(n, 'ZONE_MOVING');
    if (!session.mayAsk(n)) return connection.refuse(n, 'BUSY');
    session.asked(n, this.#clock.elapsed());
    host.send({ type: 'intent', handle: session.handle, zone, n, intent });
  }

  #leave(session: Session, connection: Connection, n: number): void {
    const { zone, host, handle, player, id } = session;
    if (session.stage !== 'playing' || zone === null || !host)
      return connection.refuse(n, session.stage === 'lobby' ? 'NOT_JOINED' : 'ZONE_MOVING');
    session.asked(n, this.#clock.elapsed(), { isCounted: false });
    host.send({ type: 'leave', handle, zone, player, session: id, reason: 'left', n });
  }

  // Where players are

  /** Brings a session to the zone its player is in; a player that is in none to the emptiest one. */
  #place(session: Session): void {
    const location = this.#directory.locationOf(session.player);
    if (typeof location === 'object') {
      session.isNew = location.isNew;
      return this.#enter(session, location.zone);
    }
    if (session.stage !== 'starting') session.become('starting', this.#clock.elapsed());
    // A zone that has not said yet whom it has might have this one.
    if (!this.#directory.isWhole) return;
    if (location === 'unknown') return void this.#seek(session);
    this.#admit(session);
  }

  /** Makes a new player of one that is in no zone. */
  #admit(session: Session): void {
    const zone = this.#directory.emptiest();
    this.#directory.sent(session.player, zone);
    session.isNew = true;
    this.#enter(session, zone);
  }

  #enter(session: Session, zone: ZoneId): void {
    const host = this.#directory.hostOf(zone) ?? null;
    this.#locate(session, zone);
    session.visit++;
    session.host = host;
    session.become(host ? 'entering' : 'waiting', this.#clock.elapsed());
    const { handle, player, name, id, joinN, isNew } = session;
    host?.send({ type: 'enter', handle, zone, player, name, session: id, n: joinN, isNew });
  }

  /** Asks every zone whether it has the player; only when all say no, it is new. */
  async #seek(session: Session): Promise<void> {
    session.become('seeking', this.#clock.elapsed());
    const { player } = session;
    const { zones } = this.#directory;
    const answers = await Promise.all(zones.map((zone) => this.ask({ about: 'player', zone, player }, 'now')));
    if (this.#sessions.get(session.handle) !== session || session.stage !== 'seeking') return;
    if (typeof this.#directory.locationOf(player) === 'object') return this.#place(session);
    const found = answers.map((answer) => (answer as { found?: string } | null)?.found);
    const here = found.indexOf('here');
    if (here >= 0) {
      session.isNew = false;
      return this.#enter(session, zones[here] as ZoneId);
    }
    if (found.every((where) => where === 'nowhere')) return this.#admit(session);
    session.become('waiting', this.#clock.elapsed());
    this.#locate(session, null);
  }

  #locate(session: Session, zone: ZoneId | null): void {
    this.#directory.bound(session.zone, zone);
    session.zone = zone;
  }

  // Hosts

  /** A zone is open at a host now, or at none. */
  placed(zone: ZoneId, host: HostPort | null): void {
    this.#directory.placed(zone, host);
    if (host) this.#questions.placed(zone, host);
    for (const session of this.#sessions.values()) {
      if (session.zone !== zone || !isBound(session)) continue;
      if (host) this.#enter(session, zone);
      else {
        session.host = null;
        session.become('waiting', this.#clock.elapsed());
      }
    }
  }

  /** What a host says. Of a zone that has gone elsewhere since, only what cannot do harm is heard. */
  received(from: HostPort, message: FromZoneHost): void {
    switch (message.type) {
      case 'reply': {
        // Who has just crossed a border is bound for another zone by now. A host that has the zone no more may have decided what never is recorded.
        if (this.#directory.hostOf(message.zone)?.id !== from.id) return;
        const session = this.#sessions.get(message.handle);
        // Nothing else that is accepted and not counted is answered like this.
        const hasLeft = message.code === null && session?.isUncounted(message.n);
        const took = session?.answer(message.n, message.code, message.frame, this.#clock.elapsed()) ?? null;
        if (took === null) return;
        if (hasLeft && session?.zone === message.zone) this.#goToLobby(session, null);
        this.decisions.note(took);
        this.#answered++;
        if (message.code === 'ZONE_MOVING' || message.code === 'BUSY') this.#failed++;
        if (message.code) this.#count(this.#refusals, message.code);
        return;
      }
      case 'cast': {
        const readers: Session[] = [];
        for (const handle of message.handles) {
          const session = this.#sessionAt(handle, from);
          if (!session?.connection) continue;
          if (message.matters) session.connection.sendBytes(message.frame);
          else readers.push(session);
        }
        this.#casting.add(readers, message.frame);
        return;
      }
      case 'notice':
        for (const handle of message.handles) {
          const { kind, at, text, from: who } = message;
          this.#sessionAt(handle, from)?.notice({ kind, at, ...(who !== null && { from: who }), ...(text !== null && { text }) });
        }
        return;
      case 'entered':
        return this.#entered(from, message);
      case 'left':
        return this.#left(from, message);
      case 'astray': {
        const session = this.#sessionAt(message.handle, from);
        if (session?.zone === message.zone && session.stage !== 'lobby') session.become('waiting', this.#clock.elapsed());
        return;
      }
      case 'zone-players':
        if ((this.#directory.hostOf(message.zone)?.id ?? from.id) === from.id)
          this.#directory.counted(message.zone, message.players, message.between);
        return;
      case 'arrived':
        return this.#arrived(message.player, message.zone);
      case 'kicked': {
        const session = this.#byPlayer.get(message.player);
        if (!session) return;
        this.#forget(session);
        session.connection?.bye('KICKED', message.reason);
        return;
      }
      case 'deliver':
        if (message.command.type === 'ConfirmHandover') this.#arrived(message.command.player, message.command.to);
        this.#directory.hostOf(message.zone)?.send({ ...message, ask: null });
        return;
      case 'answer':
        return this.#questions.answered(message.ask, message.answer);
      case 'stats':
        for (const stats of message.zones) if (this.#directory.hostOf(stats.zone)?.id === from.id) this.#hostStats.set(stats.zone, stats);
        return;
    }
  }

  #entered(from: HostPort, { handle, zone, player, frame, accepted }: FromZoneHost & { type: 'entered' }): void {
    const session = this.#sessions.get(handle);
    if (!session || session.zone !== zone || session.host?.id !== from.id) return this.#directory.created(player, zone);
    // The answer to an `enter` that was sent twice comes twice.
    if (session.stage === 'entering') {
      this.#settle(session, accepted);
      session.connection?.sendBytes(frame);
    }
    this.#directory.arrived(session.player, zone);
    session.isNew = false;
    session.joinN = null;
    session.become('playing', this.#clock.elapsed());
    if (!session.connection) from.send({ type: 'mute', handle, zone });
  }

  /** Answers what was asked before the session came into its zone: nothing of that is decided any more. */
  #settle(session: Session, accepted: readonly number[]): void {
    const now = this.#clock.elapsed();
    for (const n of [...session.unanswered.keys()].sort((one, other) => one - other)) {
      if (n === session.joinN || accepted.includes(n)) session.answer(n, null, encodeFrame({ t: 'ok', n }), now);
      else this.#refuseLate(session, n, 'LOST');
    }
  }

  /**
   * Answers what still has no answer when a session is out of the world: a `leave` is done, a `join` refused, and what came behind is not decided.
   * @param code why it was not let in; null when it has left
   */
  #settleLeft(session: Session, code: string | null): void {
    const now = this.#clock.elapsed();
    for (const n of [...session.unanswered.keys()].sort((one, other) => one - other)) {
      if (code === null && session.isUncounted(n)) session.answer(n, null, encodeFrame({ t: 'ok', n }), now);
      else this.#refuseLate(session, n, n === session.joinN && code !== null ? code : 'LOST');
    }
  }

  #refuseLate(session: Session, n: number, code: string): void {
    this.#count(this.#refusals, code);
    session.answer(n, code, encodeFrame({ t: 'refused', n, code, message: REFUSALS[code]?.says ?? '' }), this.#clock.elapsed());
  }

  #left(from: HostPort, { handle, zone, n, code }: FromZoneHost & { type: 'left' }): void {
    const session = this.#sessionAt(handle, from);
    if (!session || session.zone !== zone) return;
    if (code === 'IN_TRANSIT') {
      this.#locate(session, null);
      session.host = null;
      return session.become('waiting', this.#clock.elapsed());
    }
    if (code === 'PLAYER_NOT_IN_ZONE') {
      this.#directory.lost(session.player);
      return void this.#seek(session);
    }
    // Said of a `leave` or `join` before: that has had its answer.
    if (code === null ? n === null || !session.isUncounted(n) : n !== session.joinN) return;
    // Refused here, it may be let in elsewhere; but an `enter` that was sent again may have let it in meanwhile.
    if (code !== null && session.isNew) this.#directory.lost(session.player);
    this.#goToLobby(session, code);
  }

  /** @param code why it was not let in; null when it has left */
  #goToLobby(session: Session, code: string | null): void {
    if (code === null) this.#leftPlayers++;
    this.#settleLeft(session, code);
    this.#locate(session, null);
    session.host = null;
    session.joinN = null;
    session.become('lobby', this.#clock.elapsed());
  }

  #arrived(player: PlayerId, zone: ZoneId): void {
    const session = this.#byPlayer.get(player);
    const isThere = session?.zone === zone && (session.stage === 'playing' || session.stage === 'entering');
    this.#directory.arrived(player, zone);
    if (!session || isThere || session.stage === 'lobby') return;
    this.#enter(session, zone);
  }

  // Users

  /** Something has changed about a user. When it may not play any more its players are sent away, and fall asleep. */
  async userChanged(user: string): Promise<void> {
    this.#changes++;
    const isTheirs = (session: Session) => session.user === user;
    if (![...this.#sessions.values()].some(isTheirs) || (await this.#mayPlay(user))) return;
    for (const session of [...this.#sessions.values()].filter(isTheirs)) {
      const { connection } = session;
      this.#abandon(session);
      connection?.bye('FORBIDDEN');
    }
  }

  // Operators

  /** Asks a zone; null when it does not answer in time. While it moves to another host that one is waited for, unless the answer is wanted `now`. */
  ask(question: Question, again: 'yes' | 'now' = 'yes'): Promise<unknown> {
    const { zone } = question;
    const message = (ask: number): ToZoneHost => ({ type: 'question', ask, question });
    return this.#questions.ask({ zone, message, again });
  }

  /** Sends a command to a zone; the reply when the log has it, null when none comes in time. While the zone has no host, the next one is waited for. */
  command(zone: ZoneId, command: WorldCommand, meta: CommandMeta): Promise<unknown> {
    const message = (ask: number): ToZoneHost => ({ type: 'deliver', zone, command, meta, ask });
    return this.#questions.ask({ zone, message, again: 'no' });
  }

  /** Commands answered since the last call, and those that failed through no fault of the player. */
  takeFailures(): { answered: number; failed: number } {
    const taken = { answered: this.#answered, failed: this.#failed };
    this.#answered = 0;
    this.#failed = 0;
    return taken;
  }

  /** Players that play now, and those that went of their own accord since the last call. */
  takePlayers(): { ccu: number; left: number } {
    const left = this.#leftPlayers;
    this.#leftPlayers = 0;
    return { ccu: this.#playing(), left };
  }

  #playing(): number {
    let playing = 0;
    for (const { stage, connection } of this.#sessions.values()) if (stage === 'playing' && connection) playing++;
    return playing;
  }

  /** Which host has a zone open. */
  hostOf(zone: ZoneId): string | null {
    return this.#directory.hostOf(zone)?.id ?? null;
  }

  zoneOf(player: PlayerId): ZoneId | undefined {
    return this.#directory.zoneOf(player);
  }

  sessionOf(player: PlayerId): Session | undefined {
    return this.#byPlayer.get(player);
  }

  hostStatsOf(zone: ZoneId): ZoneStats | undefined {
    return this.#directory.hostOf(zone) ? this.#hostStats.get(zone) : undefined;
  }

  /** What the gateway counts of each zone, as of the last second. */
  zoneTraffic(): readonly ZoneTraffic[] {
    return this.#traffic.newest;
  }

  stats() {
    return {
      zonesOpen: this.#directory.openZones,
      connections: this.#connectionLimiter.size,
      sessions: this.#sessions.size,
      playing: this.#playing(),
      knownPlayers: this.#directory.players,
      updatesPerSecond: this.#pace.updatesPerSecond,
      casting: this.#casting.stats,
      refusals: Object.fromEntries(this.#refusals),
      disconnects: Object.fromEntries(this.#disconnects),
    };
  }

  stop(): void {
    this.#isStopping = true;
    for (const cancel of this.#cancels) cancel();
    this.#cancels = [];
    for (const connection of this.#connectionLimiter.all()) connection.bye('SERVER_STOPPING');
  }

  // Care

  #care(): void {
    this.#forgiveStandstill();
    const now = this.#clock.elapsed();
    for (const [zone, host] of this.#directory.uncounted()) host.send({ type: 'recount', zone });
    for (const connection of this.#connectionLimiter.silent()) connection.bye('HELLO_REQUIRED');
    for (const session of [...this.#sessions.values()]) {
      if (!session.connection && now - session.lostAt > this.#parts.limits.lingerMs) this.#abandon(session);
      else this.#careFor(session, now);
    }
  }

  /** While this process stands still nobody is heard: what clients sent meanwhile is read only after this. */
  #forgiveStandstill(): void {
    const now = this.#clock.elapsed();
    const stoodMs = now - this.#awakeAt - CARE_MS;
    this.#awakeAt = now;
    if (stoodMs < STANDSTILL_MS) return;
    this.#connectionLimiter.forgive(stoodMs);
    for (const session of this.#sessions.values()) {
      session.lostAt += stoodMs;
      session.connection?.forgive(stoodMs);
    }
  }

  #careFor(session: Session, now: number): void {
    const waited = now - session.since;
    switch (session.stage) {
      case 'starting':
        this.#place(session);
        if (session.stage !== 'starting' || waited < STARTING_MS) return;
        this.#forget(session);
        return session.connection?.bye('WORLD_STARTING');
      case 'seeking':
        if (waited > ASK_MS * 2) void this.#seek(session);
        return;
      case 'waiting':
        if (session.zone !== null) {
          if (this.#directory.hostOf(session.zone)) this.#enter(session, session.zone);
        } else if (waited > TRANSIT_MS) void this.#seek(session);
        return;
      case 'entering':
        if (waited > ENTER_RETRY_MS && session.zone !== null) this.#enter(session, session.zone);
        return;
      case 'playing': {
        // The host is alive, and an answer does not come: the zone is asked what became of the command.
        const [asked = now] = session.unanswered.values();
        if (now - asked > ANSWER_MS_MAX && session.zone !== null) this.#enter(session, session.zone);
        return;
      }
      default:
        return;
    }
  }

  /** Nobody came back for the session: its player falls asleep. */
  #abandon(session: Session): void {
    const { handle, zone, player, id, host } = session;
    this.#forget(session);
    if (zone !== null) host?.send({ type: 'leave', handle, zone, player, session: id, reason: 'lost', n: null });
  }

  #forget(session: Session): void {
    this.#sessions.delete(session.handle);
    this.#locate(session, null);
    this.#byResume.delete(session.resume);
    if (this.#byPlayer.get(session.player) === session) this.#byPlayer.delete(session.player);
  }

  #sendHeartbeats(): void {
    this.#forgiveStandstill();
    const now = this.#clock.elapsed();
    this.#heartbeats++;
    this.#traffic.count(this.#sessions.values());
    this.#pace.note(this.#parts.busy());
    for (const host of this.#directory.hosts()) host.send({ type: 'pace', updateEveryTicks: this.#pace.ticks });
    for (const session of this.#sessions.values()) {
      const { connection, handle, zone, host, player } = session;
      if (Object.keys(session.violations).length > 0 && zone !== null && host) {
        host.send({ type: 'violations', zone, player, counts: session.violations });
        session.violations = {};
      }
      if (!connection) continue;
      if (now - connection.heardAt > HEARTBEAT_MS * SILENT_BEATS_MAX) connection.bye('HEARTBEAT_TIMEOUT');
      else if ((handle + this.#heartbeats) % (HEARTBEAT_MS / 1_000) === 0) connection.ping(this.#heartbeats);
    }
  }

  #sessionAt(handle: Handle, from: HostPort): Session | undefined {
    const session = this.#sessions.get(handle);
    return session?.host?.id === from.id ? session : undefined;
  }

  #count(counts: Map<string, number>, code: string): void {
    // Codes are of a catalogue, so there are not many.
    if (counts.size < Object.keys(REFUSALS).length * 2) counts.set(code, (counts.get(code) ?? 0) + 1);
  }

  #every(ms: number, work: () => void): void {
    const slot = this.#cancels.length;
    const again = () => {
      this.#cancels[slot] = this.#clock.after(ms, () => {
        work();
        if (!this.#isStopping) again();
      });
    };
    again();
  }
}

/** Whether the session is bound to a zone, or on its way there. */
function isBound({ stage }: Session): boolean {
  return stage === 'waiting' || stage === 'entering' || stage === 'playing';
}

function refuseConnection(connection: Connection, code: DisconnectReason, detail = ''): null {
  connection.bye(code, detail);
  return null;
}
