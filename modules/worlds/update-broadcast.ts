import type { Clock } from '@millrace/kernel';
import type { Session } from './session.ts';

/** How long updates are written in one go before answers and newcomers have their turn, ms. */
const SLICE_MS = 3;
/** An update that has waited longer than this is not worth sending: its reader gets a fresh view instead. */
const STALE_MS = 1_000;
/** Writes between two looks at the clock. */
const WRITES_PER_LOOK = 32;

interface Cast {
  readonly sessions: readonly Session[];
  /** For each session, which of its zones the update is of. */
  readonly visits: readonly number[];
  readonly frame: Uint8Array;
  readonly at: number;
  next: number;
}

/**
 * Updates on their way to their readers. A tick of a hundred zones is thousands of writes; they are made in slices, so that an
 * answer never waits for all of them.
 */
export class UpdateBroadcast {
  readonly #clock: Clock;
  readonly #onLeftOut: (session: Session) => void;
  #queue: Cast[] = [];
  #first = 0;
  #isDue = false;

  constructor(clock: Clock, onLeftOut: (session: Session) => void) {
    this.#clock = clock;
    this.#onLeftOut = onLeftOut;
  }

  add(sessions: readonly Session[], frame: Uint8Array): void {
    if (sessions.length === 0) return;
    this.#queue.push({ sessions, visits: sessions.map(({ visit }) => visit), frame, at: this.#clock.elapsed(), next: 0 });
    this.#schedule();
  }

  /** Updates that wait, and how long the oldest has waited, ms. */
  get stats(): { waiting: number; oldestMs: number } {
    const oldest = this.#queue[this.#first];
    return { waiting: this.#queue.length - this.#first, oldestMs: oldest ? this.#clock.elapsed() - oldest.at : 0 };
  }

  #schedule(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#clock.soon(() => this.#slice());
  }

  #slice(): void {
    this.#isDue = false;
    const started = this.#clock.elapsed();
    for (let writes = 1; this.#first < this.#queue.length; writes++) {
      const cast = this.#queue[this.#first] as Cast;
      this.#write(cast, started - cast.at > STALE_MS);
      if (cast.next === cast.sessions.length) this.#first++;
      if (writes % WRITES_PER_LOOK === 0 && this.#clock.elapsed() - started > SLICE_MS) break;
    }
    if (this.#first === this.#queue.length) {
      this.#queue = [];
      this.#first = 0;
      return;
    }
    if (this.#first > 1_024) {
      this.#queue = this.#queue.slice(this.#first);
      this.#first = 0;
    }
    this.#schedule();
  }

  #write(cast: Cast, isStale: boolean): void {
    const index = cast.next++;
    const session = cast.sessions[index] as Session;
    // Since then it has come to another zone, or to the same one anew: this is of a sight it was told to forget.
    if (session.visit !== cast.visits[index] || !session.connection) return;
    if (isStale ? session.connection.leaveOut() : !session.connection.offer(cast.frame)) this.#onLeftOut(session);
  }
}
