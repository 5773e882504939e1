import type { PlayerId, ServerFrameOf, ZoneId } from '@millrace/contracts';
import { ACCEPTED_WINDOW } from './accepted.ts';
import type { Connection } from './connection.ts';
import type { Handle, HostPort } from './messages.ts';

/** Notices kept for a client that comes back. */
const NOTICES_MAX = 64;
/** Answers kept for a client that comes back and has not had them. */
const ANSWERS_MAX = 128;

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
  offences: Record<string, number> = {};
  /** Counts the times it came to a zone; an update of an earlier visit is not sent. */
  visit = 0;
  #e = 0;
  #notices: ServerFrameOf<'notice'>[] = [];
  /** Commands without an answer, in the order they came, and when. */
  readonly #pending = new Map<number, number>();
  readonly #answers = new Map<number, Uint8Array>();

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
    return n - oldest <= ACCEPTED_WINDOW;
  }

  asked(n: number, now: number): void {
    this.#pending.set(n, now);
  }

  /** Sends the answer to a command, unless it has had one. @returns how long it has taken, ms; null when it had one, or was never asked */
  answer(n: number, frame: Uint8Array, now: number): number | null {
    const asked = this.#pending.get(n);
    if (asked === undefined) return null;
    this.#pending.delete(n);
    this.#answers.set(n, frame);
    if (this.#answers.size > ANSWERS_MAX) this.#answers.delete(this.#answers.keys().next().value as number);
    this.connection?.sendBytes(frame);
    return now - asked;
  }

  /** Commands without an answer. */
  get unanswered(): number[] {
    return [...this.#pending.keys()];
  }

  /** The answers to commands whose answers the client has not had. */
  answersTo(numbers: readonly number[]): Uint8Array[] {
    return numbers.flatMap((n) => this.#answers.get(n) ?? []);
  }

  offended(code: string): void {
    this.offences[code] = (this.offences[code] ?? 0) + 1;
  }
}
