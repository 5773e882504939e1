import type { ClientFrame, DisconnectReason, PlayerId, PlayerIntent, WorldCommand, ZoneId } from '@millrace/contracts';
import type { Clock, CommandMeta } from '@millrace/kernel';
import type { RecentValues } from '@millrace/telemetry';
import type { FromZoneHost, HostPort, Question, ToZoneHost, ZoneStats } from '../messages.ts';
import { CodeCounts } from './code-counts.ts';
import { CommandReplies } from './command-replies.ts';
import { Connection, type RateLimits, type Transport } from './connection.ts';
import { ConnectionLimiter, type ConnectionLimits } from './connection-limiter.ts';
import { Penalties } from './penalties.ts';
import { PlayerDirectory } from './player-directory.ts';
import { PlayerPlacement } from './player-placement.ts';
import { Questions } from './questions.ts';
import type { Session } from './session.ts';
import { SessionDirectory } from './session-directory.ts';
import { SessionMonitor } from './session-monitor.ts';
import { SignIn } from './sign-in.ts';
import type { TokenHolder } from './tokens.ts';
import type { ZoneTraffic } from './traffic.ts';
import { UpdateBroadcast } from './update-broadcast.ts';

export interface WorldLimits extends RateLimits, ConnectionLimits {
  /** How long a session is kept for a client whose connection was lost. */
  readonly lingerMs: number;
}

export interface GatewayParts {
  readonly clock: Clock;
  readonly zones: readonly ZoneId[];
  readonly limits: WorldLimits;
  /** Returns the player and user of a token; null when it is not valid. */
  readonly verify: (token: string) => Promise<TokenHolder | null>;
  /** Whether a user may play now. */
  readonly mayPlay: (user: string) => Promise<boolean>;
  /** Returns a random secret. */
  readonly secret: () => string;
  /** Share of the time since the last call in which this thread worked, 0 to 1. */
  readonly busy: () => number;
}

/**
 * Terminates players’ connections. Routes commands to the host of each player’s zone, and replies back. Keeps a session
 * while its connection or its zone’s host is replaced.
 */
export class Gateway {
  readonly #clock: Clock;
  readonly #limits: WorldLimits;
  readonly #directory: PlayerDirectory;
  readonly #sessions = new SessionDirectory();
  readonly #connectionLimiter: ConnectionLimiter;
  readonly #questions: Questions;
  readonly #hostStats = new Map<ZoneId, ZoneStats>();
  readonly #penalties: Penalties;
  readonly #disconnects = new CodeCounts();
  readonly #broadcast: UpdateBroadcast;
  readonly #replies: CommandReplies;
  readonly #placement: PlayerPlacement;
  readonly #signIn: SignIn;
  readonly #monitor: SessionMonitor;
  #isStopping = false;

  constructor({ clock, zones, limits, verify, mayPlay, secret, busy }: GatewayParts) {
    const { lingerMs } = limits;
    const sessions = this.#sessions;
    const directory = new PlayerDirectory(zones);
    const connectionLimiter = new ConnectionLimiter(limits, clock);
    const penalties = new Penalties(clock);
    const replies = new CommandReplies(clock);
    const ask = (question: Question) => this.ask(question, 'now');
    const placement = new PlayerPlacement({ clock, directory, sessions, replies, ask });
    this.#clock = clock;
    this.#limits = limits;
    this.#directory = directory;
    this.#connectionLimiter = connectionLimiter;
    this.#penalties = penalties;
    this.#replies = replies;
    this.#placement = placement;
    this.#broadcast = new UpdateBroadcast(clock, mute);
    this.#questions = new Questions(clock, (zone) => directory.hostOf(zone));
    this.#signIn = new SignIn({ clock, sessions, penalties, placement, verify, mayPlay, secret, lingerMs });
    this.#monitor = new SessionMonitor({ clock, directory, sessions, connectionLimiter, placement, lingerMs, busy });
  }

  // Clients

  /** Accepts a client. Its bytes go to the returned connection; null when a connection limit is reached. */
  connect(transport: Transport): Connection | null {
    let session: Session | null = null;
    let closedWith: DisconnectReason | null = null;
    const ended = (from: Session) => {
      if (closedWith) this.#penalties.recordDisconnect(from.player, closedWith);
      if (from.connection === connection) this.#detach(from);
    };
    const connection: Connection = new Connection(transport, this.#clock, this.#limits, {
      onFrame: (frame) => {
        if (session && session.connection === connection) return this.#frame(session, connection, frame);
        if (frame.t !== 'hello' || !this.#connectionLimiter.recordHello(connection)) return connection.bye('HELLO_REQUIRED');
        if (this.#isStopping) return connection.bye('SERVER_STOPPING');
        void this.#signIn.signIn(connection, frame).then((signedIn) => {
          session = signedIn;
          // It was closed by a frame that followed the hello, before this turn.
          if (signedIn && connection.isClosed) ended(signedIn);
        });
      },
      onViolation: (code) => {
        this.#replies.refusals.add(code);
        session?.addViolation(code);
      },
      onRecovered: () => session?.zone && session.host?.send({ type: 'refresh', handle: session.handle, zone: session.zone }),
      onClosed: (code) => {
        closedWith = code;
        if (code) this.#disconnects.add(code);
        this.#connectionLimiter.closed(connection, transport.remote);
        if (session) ended(session);
      },
    });
    if (this.#connectionLimiter.add(connection, transport.remote)) return connection;
    connection.bye('TOO_MANY_CONNECTIONS');
    return null;
  }

  #detach(session: Session): void {
    session.connection = null;
    session.lostAt = this.#clock.elapsed();
    mute(session);
  }

  #frame(session: Session, connection: Connection, frame: ClientFrame): void {
    switch (frame.t) {
      case 'hello':
        return connection.refuse(0, 'INVALID_FRAME', 'hello was said already.');
      case 'join':
        if (session.stage !== 'lobby') return connection.refuse(frame.n, 'ALREADY_JOINED');
        session.joinN = frame.n;
        session.addPending(frame.n, this.#clock.elapsed(), { isCounted: false });
        return this.#placement.place(session);
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
    if (stage !== 'playing' || zone === null || !host) return this.#refuseMoving(session, connection, n);
    if (!session.mayAddPending(n)) return this.#replies.refuseEarly(connection, n, 'BUSY');
    session.addPending(n, this.#clock.elapsed());
    host.send({ type: 'intent', handle: session.handle, zone, n, intent });
  }

  #leave(session: Session, connection: Connection, n: number): void {
    const { zone, host, handle, player, id } = session;
    if (session.stage === 'lobby') return connection.refuse(n, 'NOT_JOINED');
    if (session.stage !== 'playing' || zone === null || !host) return this.#refuseMoving(session, connection, n);
    session.addPending(n, this.#clock.elapsed(), { isCounted: false });
    host.send({ type: 'leave', handle, zone, player, session: id, reason: 'left', n });
  }

  #refuseMoving({ joinN }: Session, connection: Connection, n: number): void {
    if (joinN === null) this.#replies.refuseMoving(connection, n);
    else this.#replies.refuseEarly(connection, n, 'ZONE_MOVING');
  }

  // Hosts

  /** Call it when a zone was opened on a host, or is on none. */
  placed(zone: ZoneId, host: HostPort | null): void {
    this.#directory.placed(zone, host);
    this.#questions.placed(zone, host);
    this.#placement.zonePlaced(zone, host);
  }

  /** Handles a message from a host. If the zone has moved to another host since, only harmless messages have an effect. */
  received(from: HostPort, message: FromZoneHost): void {
    switch (message.type) {
      case 'reply':
        return this.#replied(from, message);
      case 'cast':
        return this.#cast(from, message);
      case 'notice':
        return this.#notice(from, message);
      case 'entered':
        return this.#placement.entered(from, message);
      case 'attached':
        return this.#placement.attached(from, message.handles);
      case 'left':
        return this.#placement.left(from, message);
      case 'astray':
        return this.#placement.astray(from, message);
      case 'zone-players':
        if ((this.#directory.hostOf(message.zone)?.id ?? from.id) !== from.id) return;
        this.#directory.counted(message.zone, message.players, message.between);
        return this.#placement.reported(message.zone, message.players);
      case 'arrived':
        return this.#placement.admitted(from, message);
      case 'forgotten':
        // A player with a session may be on its way back to this zone. If it is not, the zone denies that it has it.
        for (const player of message.players) if (!this.#sessions.ofPlayer(player)) this.#directory.forgotten(player, message.zone);
        return;
      case 'kicked':
        return this.#kicked(message.player, message.reason);
      case 'deliver':
        if (message.command.type === 'ConfirmHandover') this.#placement.arrived(message.command.player, message.command.to);
        this.#directory.hostOf(message.zone)?.send({ ...message, ask: null });
        return;
      case 'answer':
        return this.#questions.answered(message.ask, message.answer);
      case 'stats':
        for (const stats of message.zones) if (this.#directory.hostOf(stats.zone)?.id === from.id) this.#hostStats.set(stats.zone, stats);
        return;
    }
  }

  #replied(from: HostPort, { handle, zone, n, code, frame }: FromZoneHost & { type: 'reply' }): void {
    // Checks the zone of the reply: the session of a player that just crossed a border is already bound for the next zone.
    // A host that has lost the zone may have decided events that are never recorded.
    if (this.#directory.hostOf(zone)?.id !== from.id) return;
    const session = this.#sessions.withHandle(handle);
    if (!session) return;
    // Of the uncounted commands, only `leave` gets a reply of this type.
    const hasLeft = code === null && session.isUncounted(n);
    const tookMs = session.reply(n, code, frame, this.#clock.elapsed());
    if (tookMs === null) return;
    if (hasLeft && session.zone === zone) this.#placement.goToLobby(session, null);
    this.#replies.record(tookMs, code);
  }

  #cast(from: HostPort, { handles, matters, frame }: FromZoneHost & { type: 'cast' }): void {
    const readers: Session[] = [];
    for (const handle of handles) {
      const session = this.#sessions.onHost(handle, from);
      if (!session?.connection) continue;
      if (matters) session.connection.sendBytes(frame);
      else readers.push(session);
    }
    this.#broadcast.add(readers, frame);
  }

  #notice(host: HostPort, { handles, kind, at, text, from }: FromZoneHost & { type: 'notice' }): void {
    for (const handle of handles)
      this.#sessions.onHost(handle, host)?.notice({ kind, at, ...(from !== null && { from }), ...(text !== null && { text }) });
  }

  #kicked(player: PlayerId, reason: string): void {
    const session = this.#sessions.ofPlayer(player);
    if (!session) return;
    this.#placement.forget(session);
    session.connection?.bye('KICKED', reason);
  }

  // Users

  /** Call it when a user has changed. If the user may not play any more, its sessions end and its players fall asleep. */
  userChanged(user: string): Promise<void> {
    return this.#signIn.userChanged(user);
  }

  // Operators

  /** Queries a zone; null when no reply arrives in time. While the zone moves, waits for its next host, except with `now`. */
  ask(question: Question, again: 'yes' | 'now' = 'yes'): Promise<unknown> {
    const { zone } = question;
    const message = (ask: number): ToZoneHost => ({ type: 'question', ask, question });
    return this.#questions.ask({ zone, message, again });
  }

  /** Sends a command to a zone. Resolves with the durable reply; with null when none arrives in time. While the zone has no host, waits for the next one. */
  command(zone: ZoneId, command: WorldCommand, meta: CommandMeta): Promise<unknown> {
    const message = (ask: number): ToZoneHost => ({ type: 'deliver', zone, command, meta, ask });
    return this.#questions.ask({ zone, message, again: 'no' });
  }

  /** Times from a command’s frame to its reply, ms. */
  get decisions(): RecentValues {
    return this.#replies.latencies;
  }

  /** Commands with a reply since the last call, and those of them that failed through no fault of the player. */
  takeFailures(): { answered: number; failed: number } {
    return this.#replies.takeFailures();
  }

  /** Number of connected players, and of players that sent `leave` since the last call. */
  takePlayers(): { ccu: number; left: number } {
    return { ccu: this.#sessions.playing, left: this.#placement.takeLeft() };
  }

  /** Id of the host that has a zone open; null while none has. */
  hostOf(zone: ZoneId): string | null {
    return this.#directory.hostOf(zone)?.id ?? null;
  }

  /** The zone that reported a player last. */
  zoneOf(player: PlayerId): ZoneId | undefined {
    return this.#directory.zoneOf(player);
  }

  sessionOf(player: PlayerId): Session | undefined {
    return this.#sessions.ofPlayer(player);
  }

  /** Stats of a zone for the last second, from its host; undefined while no host has it. */
  hostStatsOf(zone: ZoneId): ZoneStats | undefined {
    return this.#directory.hostOf(zone) ? this.#hostStats.get(zone) : undefined;
  }

  /** The gateway’s own counts of each zone for the last second. */
  zoneTraffic(): readonly ZoneTraffic[] {
    return this.#monitor.traffic.newest;
  }

  stats() {
    return {
      zonesOpen: this.#directory.openZones,
      connections: this.#connectionLimiter.size,
      sessions: this.#sessions.size,
      playing: this.#sessions.playing,
      knownPlayers: this.#directory.players,
      updatesPerSecond: this.#monitor.updateRate.updatesPerSecond,
      casting: this.#broadcast.stats,
      refusals: this.#replies.refusals.toObject(),
      disconnects: this.#disconnects.toObject(),
    };
  }

  stop(): void {
    this.#isStopping = true;
    this.#monitor.stop();
    for (const connection of this.#connectionLimiter.all()) connection.bye('SERVER_STOPPING');
  }
}

/** Makes the zone send nothing to the session until a `refresh`. */
function mute({ handle, zone, host }: Session): void {
  if (zone !== null) host?.send({ type: 'mute', handle, zone });
}
