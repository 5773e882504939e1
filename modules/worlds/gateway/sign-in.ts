import { type ClientFrameOf, type DisconnectReason, type PlayerId, REFUSALS, WORLD_PROTOCOL } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { Connection } from './connection.ts';
import type { Penalties } from './penalties.ts';
import type { PlayerPlacement } from './player-placement.ts';
import { Session } from './session.ts';
import type { SessionDirectory } from './session-directory.ts';
import { HEARTBEAT_MS } from './session-monitor.ts';
import type { TokenHolder } from './tokens.ts';

/** The first handle depends on the time in ms, so that no handle of an earlier start repeats: a server has fewer sessions than it runs ms. */
const FIRST_HANDLE_MAX = 2 ** 31;

export interface SignInParts {
  readonly clock: Clock;
  readonly sessions: SessionDirectory;
  readonly penalties: Penalties;
  readonly placement: PlayerPlacement;
  /** Returns the player and user of a token; null when it is not valid. */
  readonly verify: (token: string) => Promise<TokenHolder | null>;
  /** Whether a user may play now. */
  readonly mayPlay: (user: string) => Promise<boolean>;
  /** Returns a random secret. */
  readonly secret: () => string;
  /** How long a session is kept for a client whose connection was lost. */
  readonly lingerMs: number;
}

/** Checks `hello` frames and gives connections their sessions: a new one, or the one that the client resumes. */
export class SignIn {
  readonly #parts: SignInParts;
  readonly #clock: Clock;
  readonly #sessions: SessionDirectory;
  /** No handle of an earlier server is used again: messages with it may still be on their way. */
  #handles: number;
  /** Counts changes of users. */
  #changes = 0;

  constructor(parts: SignInParts) {
    this.#parts = parts;
    this.#clock = parts.clock;
    this.#sessions = parts.sessions;
    this.#handles = Math.floor(parts.clock.now()) % FIRST_HANDLE_MAX;
  }

  /** The session that a `hello` begins or resumes; null when it is refused, and then the connection is closed. */
  async signIn(connection: Connection, hello: ClientFrameOf<'hello'>): Promise<Session | null> {
    if (hello.v !== WORLD_PROTOCOL)
      return refuseConnection(connection, 'UNSUPPORTED_VERSION', `it speaks ${WORLD_PROTOCOL}, the client ${hello.v}`);
    if (hello.resume !== undefined) return this.#resume(connection, hello, hello.resume);
    const holder = hello.token === undefined ? null : await this.#parts.verify(hello.token);
    if (connection.isClosed) return null;
    if (!holder) return refuseConnection(connection, 'INVALID_TOKEN');
    if (!(await this.#mayPlay(holder.user))) return refuseConnection(connection, 'FORBIDDEN');
    if (connection.isClosed) return null;
    if (this.#isBanned(holder.player, connection)) return null;
    return this.#begin(connection, holder);
  }

  /** Ends the sessions of a user that may not play any more. Call it when something about the user has changed. */
  async userChanged(user: string): Promise<void> {
    this.#changes++;
    const isTheirs = (session: Session) => session.user === user;
    if (![...this.#sessions.all()].some(isTheirs) || (await this.#mayPlay(user))) return;
    for (const session of [...this.#sessions.all()].filter(isTheirs)) {
      const { connection } = session;
      this.#parts.placement.abandon(session);
      connection?.bye('FORBIDDEN');
    }
  }

  #resume(connection: Connection, hello: ClientFrameOf<'hello'>, secret: string): Session | null {
    const session = this.#sessions.withResume(secret);
    if (!session) return refuseConnection(connection, 'UNKNOWN_SESSION');
    if (this.#isBanned(session.player, connection)) return null;
    this.#attach(session, connection, hello.last ?? 0, true);
    for (const [n, code] of session.repliesFor(hello.unanswered ?? [], this.#clock.elapsed()))
      connection.send(code === null ? { t: 'ok', n } : { t: 'refused', n, code, message: REFUSALS[code]?.description ?? '' });
    return session;
  }

  /** A new session; it replaces an earlier one of the player. */
  #begin(connection: Connection, holder: TokenHolder): Session {
    const before = this.#sessions.ofPlayer(holder.player);
    if (before) {
      // Its successor may never join: the player falls asleep until then.
      this.#parts.placement.abandon(before, 'replaced');
      before.connection?.bye('REPLACED');
    }
    const session = new Session({
      handle: ++this.#handles,
      id: this.#parts.secret(),
      resume: this.#parts.secret(),
      ...holder,
      now: this.#clock.elapsed(),
    });
    this.#sessions.add(session);
    this.#attach(session, connection, 0, false);
    return session;
  }

  /** Checks again when a user changed during the check, because the result may be from before the change. */
  async #mayPlay(user: string | null): Promise<boolean> {
    if (user === null) return true;
    for (;;) {
      const changes = this.#changes;
      const may = await this.#parts.mayPlay(user);
      if (changes === this.#changes) return may;
    }
  }

  #isBanned(player: PlayerId, connection: Connection): boolean {
    const remainingMs = this.#parts.penalties.remaining(player);
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
      lingerMs: this.#parts.lingerMs,
      resumed,
      gap: resumed && gap,
      time: Math.floor(this.#clock.now()),
    });
    if (!resumed) return;
    for (const notice of missed) connection.send(notice);
    // Also while it enters: the zone may have attached it already and muted it, because it had no connection.
    if ((session.stage === 'playing' || session.stage === 'entering') && session.zone !== null)
      this.#parts.placement.enter(session, session.zone);
  }
}

function refuseConnection(connection: Connection, code: DisconnectReason, detail = ''): null {
  connection.bye(code, detail);
  return null;
}
