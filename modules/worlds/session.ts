import type { PlayerId, ServerFrameOf, ZoneId } from '@millrace/contracts';
import { ACCEPTED_WINDOW } from './accepted.ts';
import type { Connection } from './connection.ts';
import type { Handle, HostPort } from './messages.ts';

/** Notices kept for a client that comes back. */
const NOTICES_MAX = 64;

/**
 * Where a session stands: `lobby` out of the world; `starting` until all zones have said whom they have; `seeking` the zone its
 * player is in; `waiting` for a zone that moves or a crossing; `entering`; `playing`.
 */
export type SessionStage = 'lobby' | 'starting' | 'seeking' | 'waiting' | 'entering' | 'playing';

/** One player’s presence at the gateway. It outlives its connection for a while, so that a dropped one can be resumed. */
export class Session {
  readonly handle: Handle;
  readonly id: string;
  readonly resume: string;
  readonly player: PlayerId;
  readonly name: string;
  /** Whose player it is; null where nobody had to sign in. */
  readonly user: string | null;
  stage: SessionStage = 'lobby';
  /** When it came into its stage, ms of the clock’s `elapsed`. */
  since: number;
  zone: ZoneId | null = null;
  host: HostPort | null = null;
  connection: Connection | null = null;
  /** Since when it has no connection. */
  lostAt = 0;
  /** The number of the `join` that waits for its answer. */
  joinN: number | null = null;
  /** No zone knows the player. */
  isNew = false;
  violations: Record<string, number> = {};
  /** Counts the times it came to a zone; an update of an earlier visit is not sent. */
  visit = 0;
  #e = 0;
  #notices: ServerFrameOf<'notice'>[] = [];
  /** Commands without an answer, in the order they came, and when. */
  readonly #pending = new Map<number, number>();
  /** Those of them that no zone counts: `join` and `leave`. */
  readonly #uncounted = new Set<number>();
  /** The newest answers that no zone knows of: why a command was refused; null for a `join` or `leave` that was accepted. */
  readonly #told = new Map<number, string | null>();
  /** The newest that a zone has accepted: it is asked for them, but not any more when the session has left the world. */
  readonly #accepted = new Set<number>();

  constructor(parts: { handle: Handle; id: string; resume: string; player: PlayerId; name: string; user: string | null; now: number }) {
    this.handle = parts.handle;
    this.id = parts.id;
    this.resume = parts.resume;
    this.player = parts.player;
    this.name = parts.name;
    this.user = parts.user;
    this.since = parts.now;
    this.lostAt = parts.now;
  }

  become(stage: SessionStage, now: number): void {
    this.stage = stage;
    this.since = now;
  }

  notice(notice: Omit<ServerFrameOf<'notice'>, 't' | 'e'>): void {
    const frame = { t: 'notice' as const, e: ++this.#e, ...notice };
    this.#notices.push(frame);
    if (this.#notices.length > NOTICES_MAX) this.#notices.shift();
    this.connection?.send(frame);
  }

  /** The notices after `last`, and whether some between are not kept any more. */
  noticesAfter(last: number): { missed: ServerFrameOf<'notice'>[]; gap: boolean } {
    const missed = this.#notices.filter(({ e }) => e > last);
    return { missed, gap: last < this.#e && (missed[0]?.e ?? 0) !== last + 1 };
  }

  /** Whether what becomes of a command could still be told after the zone went to another host: of older ones than that nothing is known. */
  mayAsk(n: number): boolean {
    const [oldest = n] = this.#pending.keys();
    return n - oldest <= ACCEPTED_WINDOW && this.#pending.size <= ACCEPTED_WINDOW;
  }

  asked(n: number, now: number, { isCounted = true } = {}): void {
    this.#pending.set(n, now);
    if (!isCounted) this.#uncounted.add(n);
  }

  /**
   * Sends the answer to a command, unless it has had one.
   * @param code why it is refused; null when it is accepted
   * @returns how long it has taken, ms; null when it had its answer, or was never asked
   */
  answer(n: number, code: string | null, frame: Uint8Array, now: number): number | null {
    const asked = this.#pending.get(n);
    if (asked === undefined) return null;
    this.#pending.delete(n);
    if (this.#uncounted.delete(n) || code !== null) this.#told.set(n, code);
    else this.#accepted.add(n);
    if (this.#told.size > ACCEPTED_WINDOW) this.#told.delete(this.#told.keys().next().value as number);
    if (this.#accepted.size > ACCEPTED_WINDOW) this.#accepted.delete(this.#accepted.values().next().value as number);
    this.connection?.sendBytes(frame);
    return now - asked;
  }

  /** Whether a command is a `join` or `leave` without an answer. */
  isUncounted(n: number): boolean {
    return this.#uncounted.has(n);
  }

  /** Commands without an answer, oldest first, and since when. */
  get unanswered(): ReadonlyMap<number, number> {
    return this.#pending;
  }

  /**
   * The client has come back, and has had no answer to these commands. Which of those that a zone counts were accepted is known when the session is
   * in its zone.
   * @returns the answers that are known: why it was refused, null when it was accepted
   */
  askedAgain(numbers: readonly number[], now: number): [n: number, code: string | null][] {
    const known: [number, string | null][] = [];
    for (const n of numbers) {
      const code = this.#told.get(n);
      if (code !== undefined) known.push([n, code]);
      // Of what was asked before it left the world no zone knows any more; all that came here has had its answer.
      else if (this.stage === 'lobby') known.push([n, this.#accepted.has(n) ? null : 'LOST']);
      else if (!this.#pending.has(n)) this.#pending.set(n, now);
    }
    return known;
  }

  offended(code: string): void {
    this.violations[code] = (this.violations[code] ?? 0) + 1;
  }
}
