import { ACCEPTED_WINDOW, type PlayerId, type ServerFrameOf, type ZoneId } from '@millrace/contracts';
import type { Handle, HostPort } from '../messages.ts';
import type { Connection } from './connection.ts';

/** Outcomes kept of each kind: a client may have this many commands without a reply. */
const OUTCOMES_MAX = ACCEPTED_WINDOW + 1;
/** Notices kept for a client that comes back. */
const NOTICES_MAX = 64;

/**
 * Stage of a session. `lobby`: not in the world. `starting`: waits for the reports of all zones. `seeking`: searches for the zone of
 * its player. `waiting`: for a zone that moves or a crossing. `entering`: an `enter` has no reply yet. `playing`.
 */
export type SessionStage = 'lobby' | 'starting' | 'seeking' | 'waiting' | 'entering' | 'playing';

/** One player’s presence at the gateway. It outlives its connection for a while, so that a dropped one can be resumed. */
export class Session {
  readonly handle: Handle;
  readonly id: string;
  readonly resume: string;
  readonly player: PlayerId;
  readonly name: string;
  /** Owner of the player; null without sign-in. */
  readonly user: string | null;
  stage: SessionStage = 'lobby';
  /** When the stage began, ms of the clock’s `elapsed`. */
  since: number;
  /** How long it may wait without a zone before its player is searched for, ms. */
  searchAfterMs = 0;
  zone: ZoneId | null = null;
  host: HostPort | null = null;
  connection: Connection | null = null;
  /** When its connection was lost, ms of the clock’s `elapsed`. */
  lostAt = 0;
  /** Number of the `join` that waits for its reply. */
  joinN: number | null = null;
  /** No zone knows the player. */
  isNew = false;
  violations: Record<string, number> = {};
  /** Number of times it entered a zone. Updates of an earlier visit are not sent. */
  visit = 0;
  #e = 0;
  #notices: ServerFrameOf<'notice'>[] = [];
  /** Commands without a reply, in order of arrival, with the time of arrival. */
  readonly #pending = new Map<number, number>();
  /** Pending commands that zones do not number: `join` and `leave`. */
  readonly #uncounted = new Set<number>();
  /** Pending commands that a client reported when it resumed. They have not arrived here, or have had a reply. */
  readonly #reported = new Set<number>();
  /** The newest replies that no zone stores: the code of a refused command; null for an accepted `join` or `leave`. */
  readonly #outcomes = new Map<number, string | null>();
  /** Numbers of the newest commands that a zone accepted. Needed after the session has left the world, when no zone reports them. */
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

  /** Whether the outcome of a command would still be known after the zone moves to another host, which knows a window of numbers only. */
  mayAddPending(n: number): boolean {
    const [oldest = n] = this.#pending.keys();
    return n - oldest <= ACCEPTED_WINDOW && this.#pending.size <= ACCEPTED_WINDOW;
  }

  addPending(n: number, now: number, { isCounted = true } = {}): void {
    this.#pending.set(n, now);
    this.#reported.delete(n);
    if (!isCounted) this.#uncounted.add(n);
  }

  /**
   * Sends the reply to a pending command.
   * @param code code of the refusal; null when the command is accepted
   * @returns time from command to reply, ms; null when the command is not pending, and then nothing is sent
   */
  reply(n: number, code: string | null, frame: Uint8Array, now: number): number | null {
    const receivedAt = this.#pending.get(n);
    if (receivedAt === undefined) return null;
    this.#pending.delete(n);
    this.#reported.delete(n);
    if (this.#uncounted.delete(n) || code !== null) this.#outcomes.set(n, code);
    else this.#accepted.add(n);
    if (this.#outcomes.size > OUTCOMES_MAX) this.#outcomes.delete(this.#outcomes.keys().next().value as number);
    if (this.#accepted.size > OUTCOMES_MAX) this.#accepted.delete(this.#accepted.values().next().value as number);
    this.connection?.sendBytes(frame);
    return now - receivedAt;
  }

  /** Whether a command is a `join` or `leave` without a reply. */
  isUncounted(n: number): boolean {
    return this.#uncounted.has(n);
  }

  /** Whether a pending command is known from the client's report alone, not from its frame. */
  isReported(n: number): boolean {
    return this.#reported.has(n);
  }

  /** Commands without a reply, oldest first, with the time of arrival. */
  get unanswered(): ReadonlyMap<number, number> {
    return this.#pending;
  }

  /**
   * Handles the commands for which a client that resumes has no reply. Those without a known outcome become pending again: the zone reports which it
   * accepted when the session enters it. Those of an earlier report alone are forgotten: the client has all that it waits for in this one.
   * @returns the known outcomes: the code of a refusal, null for an accepted command
   */
  repliesFor(numbers: readonly number[], now: number): [n: number, code: string | null][] {
    for (const n of [...this.#reported])
      if (!numbers.includes(n)) {
        this.#reported.delete(n);
        this.#pending.delete(n);
      }
    const known: [number, string | null][] = [];
    for (const n of numbers) {
      const code = this.#outcomes.get(n);
      if (code !== undefined) known.push([n, code]);
      // No zone knows the commands from before it left the world. All that arrived here have had a reply.
      else if (this.stage === 'lobby') known.push([n, this.#accepted.has(n) ? null : 'LOST']);
      else if (!this.#pending.has(n)) {
        this.#pending.set(n, now);
        this.#reported.add(n);
      }
    }
    return known;
  }

  addViolation(code: string): void {
    this.violations[code] = (this.violations[code] ?? 0) + 1;
  }
}
