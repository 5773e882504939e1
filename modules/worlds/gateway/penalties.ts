import type { DisconnectReason, PlayerId } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';

/** Disconnect reasons that a client causes by what it sends. */
const PENALIZED_REASONS: ReadonlySet<DisconnectReason> = new Set(['FLOOD', 'TOO_MANY_INVALID_FRAMES', 'FRAME_TOO_LARGE']);
const FIRST_MS = 5_000;
const MOST_MS = 300_000;
/** After this time without a violation the next one counts as the first, ms. */
const FORGIVEN_MS = 600_000;
/** Largest number of stored penalties; beyond it the oldest is dropped early. */
const PLAYERS_MAX = 10_000;

interface Penalty {
  readonly ms: number;
  /** Milliseconds of the clock’s `elapsed`. */
  readonly since: number;
}

/**
 * Temporary bans of players that were disconnected for what they sent. Each ban is twice as long as the one before. A sign-in
 * is the most expensive request, and a disconnected client would otherwise repeat it all the time.
 */
export class Penalties {
  readonly #clock: Clock;
  readonly #given = new Map<PlayerId, Penalty>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  recordDisconnect(player: PlayerId, code: DisconnectReason): void {
    if (!PENALIZED_REASONS.has(code)) return;
    const now = this.#clock.elapsed();
    const before = this.#given.get(player);
    const isRepeated = before !== undefined && now - before.since < FORGIVEN_MS;
    // Deleted first, so that the map is in the order of the newest violations.
    this.#given.delete(player);
    this.#given.set(player, { ms: isRepeated ? Math.min(MOST_MS, 2 * before.ms) : FIRST_MS, since: now });
    const oldest = this.#given.keys().next();
    if (this.#given.size > PLAYERS_MAX && !oldest.done) this.#given.delete(oldest.value);
  }

  /** Remaining time of the player’s ban, ms; 0 when it may connect. */
  remaining(player: PlayerId): number {
    const penalty = this.#given.get(player);
    return penalty ? Math.max(0, penalty.since + penalty.ms - this.#clock.elapsed()) : 0;
  }
}
