import type { DisconnectReason, PlayerId } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';

/** Goodbyes that a client brings upon itself by what it sends. */
const FOR_WHAT_IT_SENT: ReadonlySet<DisconnectReason> = new Set(['FLOOD', 'TOO_MANY_INVALID_FRAMES', 'FRAME_TOO_LARGE']);
const FIRST_MS = 5_000;
const MOST_MS = 300_000;
/** After so long without another violation the next one counts as a first. */
const FORGIVEN_MS = 600_000;
/** Players remembered; beyond it the one longest ago is forgiven early. */
const PLAYERS_MAX = 10_000;

interface Penalty {
  readonly ms: number;
  /** Milliseconds of the clock’s `elapsed`. */
  readonly since: number;
}

/**
 * Players that were sent away for what they sent stay away for a while, twice as long each time: coming in is the dearest thing
 * a client can ask for, and who is sent away would otherwise ask for it all the time.
 */
export class Penalties {
  readonly #clock: Clock;
  readonly #given = new Map<PlayerId, Penalty>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  recordDisconnect(player: PlayerId, code: DisconnectReason): void {
    if (!FOR_WHAT_IT_SENT.has(code)) return;
    const now = this.#clock.elapsed();
    const before = this.#given.get(player);
    const isRepeated = before !== undefined && now - before.since < FORGIVEN_MS;
    // Deleted first, so that the map stands in the order of the newest violations.
    this.#given.delete(player);
    this.#given.set(player, { ms: isRepeated ? Math.min(MOST_MS, 2 * before.ms) : FIRST_MS, since: now });
    const oldest = this.#given.keys().next();
    if (this.#given.size > PLAYERS_MAX && !oldest.done) this.#given.delete(oldest.value);
  }

  /** How long the player still stays away, ms; 0 when it may come. */
  remaining(player: PlayerId): number {
    const penalty = this.#given.get(player);
    return penalty ? Math.max(0, penalty.since + penalty.ms - this.#clock.elapsed()) : 0;
  }
}
