import type { PlayerId, ZoneId } from '@millrace/contracts';
import type { Handle, HostPort } from '../messages.ts';
import type { Session } from './session.ts';

/** The sessions of a gateway, by handle, by player and by the secret that resumes them. */
export class SessionDirectory {
  readonly #byHandle = new Map<Handle, Session>();
  readonly #byPlayer = new Map<PlayerId, Session>();
  readonly #byResume = new Map<string, Session>();

  get size(): number {
    return this.#byHandle.size;
  }

  add(session: Session): void {
    this.#byHandle.set(session.handle, session);
    this.#byPlayer.set(session.player, session);
    this.#byResume.set(session.resume, session);
  }

  /** Removes a session. A newer session of the same player stays. */
  remove(session: Session): void {
    this.#byHandle.delete(session.handle);
    this.#byResume.delete(session.resume);
    if (this.#byPlayer.get(session.player) === session) this.#byPlayer.delete(session.player);
  }

  has(session: Session): boolean {
    return this.#byHandle.get(session.handle) === session;
  }

  withHandle(handle: Handle): Session | undefined {
    return this.#byHandle.get(handle);
  }

  /** The session with a handle, if its zone is on the given host. */
  onHost(handle: Handle, host: HostPort): Session | undefined {
    const session = this.#byHandle.get(handle);
    return session?.host?.id === host.id ? session : undefined;
  }

  ofPlayer(player: PlayerId): Session | undefined {
    return this.#byPlayer.get(player);
  }

  withResume(secret: string): Session | undefined {
    return this.#byResume.get(secret);
  }

  /** All sessions, in the order in which they began. Copy before you add or remove sessions. */
  all(): Iterable<Session> {
    return this.#byHandle.values();
  }

  /** Sessions that are in a zone or bound for it. */
  *boundFor(zone: ZoneId): Iterable<Session> {
    for (const session of this.#byHandle.values()) if (session.zone === zone && isBound(session)) yield session;
  }

  /** Number of players that play now, with a connection. */
  get playing(): number {
    let playing = 0;
    for (const { stage, connection } of this.#byHandle.values()) if (stage === 'playing' && connection) playing++;
    return playing;
  }
}

/** Whether the session is in a zone or bound for it. */
function isBound({ stage }: Session): boolean {
  return stage === 'waiting' || stage === 'entering' || stage === 'playing';
}
