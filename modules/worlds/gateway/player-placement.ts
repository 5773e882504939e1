import type { PlayerId, ZoneId } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { FromZoneHost, Handle, HostPort, Question } from '../messages.ts';
import type { CommandReplies } from './command-replies.ts';
import type { PlayerDirectory } from './player-directory.ts';
import { ASK_MS } from './questions.ts';
import type { Session } from './session.ts';
import type { SessionDirectory } from './session-directory.ts';

/** How long an `enter` may stay without a reply before it is sent again, ms. */
const ENTER_RETRY_MS = 1_000;
/** How long a command may stay without a reply, ms. */
const REPLY_MS_MAX = 5_000;
/** How long a session may wait in a crossing before its player is searched for, ms. */
const TRANSIT_MS = 3_000;
/** Delay before a search that a zone could not reply to begins again, ms. */
const SEARCH_AGAIN_MS = 500;
/** How long a new session waits for the reports of all zones, ms. */
const STARTING_MS = 5_000;

export interface PlacementParts {
  readonly clock: Clock;
  readonly directory: PlayerDirectory;
  readonly sessions: SessionDirectory;
  readonly replies: CommandReplies;
  /** Queries a zone once; null when it has no host or does not reply. */
  readonly ask: (question: Question) => Promise<unknown>;
}

/** Brings sessions into the zones of their players: at a join, after a crossing, and when a zone moves to another host. */
export class PlayerPlacement {
  readonly #clock: Clock;
  readonly #directory: PlayerDirectory;
  readonly #sessions: SessionDirectory;
  readonly #replies: CommandReplies;
  readonly #ask: PlacementParts['ask'];
  #left = 0;

  constructor({ clock, directory, sessions, replies, ask }: PlacementParts) {
    this.#clock = clock;
    this.#directory = directory;
    this.#sessions = sessions;
    this.#replies = replies;
    this.#ask = ask;
  }

  /** Players that left of their own accord since the last call. */
  takeLeft(): number {
    const left = this.#left;
    this.#left = 0;
    return left;
  }

  /** Brings a session to the zone its player is in; a player that is in none to the emptiest one. */
  place(session: Session): void {
    const location = this.#directory.locationOf(session.player);
    if (typeof location === 'object') {
      session.isNew = location.isNew;
      return this.enter(session, location.zone);
    }
    if (session.stage !== 'starting') session.become('starting', this.#clock.elapsed());
    // A zone that has not reported its players yet might have this one.
    if (!this.#directory.isWhole) return;
    if (location === 'unknown') return void this.#seek(session);
    this.#admit(session);
  }

  /** Creates a player that is in no zone. */
  #admit(session: Session): void {
    const zone = this.#directory.emptiest();
    this.#directory.sent(session.player, zone);
    session.isNew = true;
    this.enter(session, zone);
  }

  /** Requests that a zone attaches the session; as soon as the zone has a host. */
  enter(session: Session, zone: ZoneId): void {
    const host = this.#directory.hostOf(zone) ?? null;
    this.#bind(session, zone);
    session.visit++;
    session.host = host;
    session.become(host ? 'entering' : 'waiting', this.#clock.elapsed());
    const { handle, player, name, id, joinN, isNew } = session;
    host?.send({ type: 'enter', handle, zone, player, name, session: id, n: joinN, isNew });
  }

  /** Queries every zone for the player. It is new only when all deny that they have it. */
  async #seek(session: Session): Promise<void> {
    session.become('seeking', this.#clock.elapsed());
    const { player } = session;
    const { zones } = this.#directory;
    const replies = await Promise.all(zones.map((zone) => this.#ask({ about: 'player', zone, player })));
    if (!this.#sessions.has(session) || session.stage !== 'seeking') return;
    if (typeof this.#directory.locationOf(player) === 'object') return this.place(session);
    const found = replies.map((reply) => (reply as { found?: string } | null)?.found);
    const here = found.indexOf('here');
    if (here >= 0) {
      session.isNew = false;
      return this.enter(session, zones[here] as ZoneId);
    }
    if (found.every((where) => where === 'nowhere')) return this.#admit(session);
    this.#wait(session, found.includes('between') ? TRANSIT_MS : SEARCH_AGAIN_MS);
  }

  /** A session waits until a zone has its player. After `searchAfterMs` the player is searched for. */
  #wait(session: Session, searchAfterMs: number): void {
    this.#bind(session, null);
    session.host = null;
    session.searchAfterMs = searchAfterMs;
    session.become('waiting', this.#clock.elapsed());
  }

  #bind(session: Session, zone: ZoneId | null): void {
    this.#directory.bound(session.zone, zone);
    session.zone = zone;
  }

  /** Call it when a zone was opened on a host, or is on none. */
  zonePlaced(zone: ZoneId, host: HostPort | null): void {
    for (const session of this.#sessions.boundFor(zone)) {
      if (host) this.enter(session, zone);
      else {
        session.host = null;
        session.become('waiting', this.#clock.elapsed());
      }
    }
  }

  /**
   * A zone that was opened has reported its players. Sessions that wait for theirs without knowing its zone enter it: a player that crossed a border when the
   * hosts died is where the log has it.
   */
  reported(zone: ZoneId, players: readonly PlayerId[]): void {
    for (const player of players) {
      const session = this.#sessions.ofPlayer(player);
      if (!session || !(session.stage === 'seeking' || (session.stage === 'waiting' && session.zone === null))) continue;
      session.isNew = false;
      this.enter(session, zone);
    }
  }

  /** A zone has attached a session. */
  entered(from: HostPort, { handle, zone, player, session: id, frame, accepted }: FromZoneHost & { type: 'entered' }): void {
    const session = this.#sessions.onHost(handle, from);
    if (session?.zone !== zone) {
      this.#directory.created(player, zone);
      // The session ended or left before the zone attached it. One that is on its way between zones may be returning to this one.
      if ((this.#sessions.withHandle(handle)?.stage ?? 'lobby') === 'lobby')
        from.send({ type: 'leave', handle, zone, player, session: id, reason: 'lost', n: null });
      return;
    }
    // The reply to an `enter` that was sent twice comes twice.
    if (session.stage === 'entering') {
      this.#replies.settleEntered(session, accepted);
      session.connection?.sendBytes(frame);
    }
    this.#directory.arrived(session.player, zone);
    session.isNew = false;
    session.joinN = null;
    session.become('playing', this.#clock.elapsed());
    if (!session.connection) from.send({ type: 'mute', handle, zone });
  }

  /** Sessions that are attached to a zone. Handles are not used twice, so one that is unknown now has ended for good. */
  attached(from: HostPort, handles: readonly Handle[]): void {
    const ended = handles.filter((handle) => !this.#sessions.withHandle(handle));
    if (ended.length > 0) from.send({ type: 'ended', handles: ended });
  }

  /** A session is not in its zone, or not any more. */
  left(from: HostPort, { handle, zone, n, code }: FromZoneHost & { type: 'left' }): void {
    const session = this.#sessions.onHost(handle, from);
    if (!session || session.zone !== zone) return;
    if (code === 'IN_TRANSIT') return this.#wait(session, TRANSIT_MS);
    if (code === 'PLAYER_NOT_IN_ZONE') {
      this.#directory.lost(session.player);
      return void this.#seek(session);
    }
    // It concerns an earlier `leave` or `join`, which has its reply.
    if (code === null ? n === null || !session.isUncounted(n) : n !== session.joinN) return;
    // Refused here, it may be admitted elsewhere; but a repeated `enter` may have been accepted meanwhile.
    if (code !== null && session.isNew) this.#directory.lost(session.player);
    this.goToLobby(session, code);
  }

  /** A host does not have the session: it waits until its zone is open again. */
  astray(from: HostPort, { handle, zone }: FromZoneHost & { type: 'astray' }): void {
    const session = this.#sessions.onHost(handle, from);
    if (session?.zone === zone && session.stage !== 'lobby') session.become('waiting', this.#clock.elapsed());
  }

  /** A zone has admitted a player or taken it back. When its session ended meanwhile, no host knows that: the player falls asleep now. */
  admitted(from: HostPort, { player, zone, session: id }: FromZoneHost & { type: 'arrived' }): void {
    this.arrived(player, zone);
    if ((this.#sessions.ofPlayer(player)?.stage ?? 'lobby') !== 'lobby' || id === '') return;
    from.send({ type: 'deliver', zone, command: { type: 'LeaveZone', player, session: id, reason: 'lost' }, meta: {}, ask: null });
  }

  /** A player has arrived in a zone: its session follows. */
  arrived(player: PlayerId, zone: ZoneId): void {
    const session = this.#sessions.ofPlayer(player);
    const isThere = session?.zone === zone && (session.stage === 'playing' || session.stage === 'entering');
    this.#directory.arrived(player, zone);
    if (!session || isThere || session.stage === 'lobby') return;
    this.enter(session, zone);
  }

  /**
   * Takes a session out of the world; its connection stays.
   * @param code why it was not admitted; null when it has left
   */
  goToLobby(session: Session, code: string | null): void {
    if (code === null) this.#left++;
    this.#replies.settleLeft(session, code);
    this.#bind(session, null);
    session.host = null;
    session.joinN = null;
    session.become('lobby', this.#clock.elapsed());
  }

  /** Ends a session: its player falls asleep, after the next `attached` if its zone has no host now or the message is lost. */
  abandon(session: Session, reason: 'lost' | 'replaced' = 'lost'): void {
    const { handle, zone, player, id, host } = session;
    this.forget(session);
    if (zone !== null) host?.send({ type: 'leave', handle, zone, player, session: id, reason, n: null });
  }

  /** Removes a session; its zone is not informed. */
  forget(session: Session): void {
    this.#sessions.remove(session);
    this.#bind(session, null);
  }

  /** Retries requests that sessions have waited for too long. `now` in ms of the clock’s `elapsed`. */
  retry(session: Session, now: number): void {
    const waitedMs = now - session.since;
    switch (session.stage) {
      case 'starting':
        this.place(session);
        if (session.stage !== 'starting' || waitedMs < STARTING_MS) return;
        this.forget(session);
        return session.connection?.bye('WORLD_STARTING');
      case 'seeking':
        if (waitedMs > ASK_MS * 2) void this.#seek(session);
        return;
      case 'waiting':
        if (session.zone !== null) {
          if (this.#directory.hostOf(session.zone)) this.enter(session, session.zone);
        } else if (waitedMs > session.searchAfterMs) void this.#seek(session);
        return;
      case 'entering':
        if (waitedMs > ENTER_RETRY_MS && session.zone !== null) this.enter(session, session.zone);
        return;
      case 'playing': {
        // The host is alive, and a reply is missing: the zone reports which commands it has accepted.
        const [sentAt = now] = session.unanswered.values();
        if (now - sentAt > REPLY_MS_MAX && session.zone !== null) this.enter(session, session.zone);
        return;
      }
      default:
        return;
    }
  }
}
