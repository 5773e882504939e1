import type { Clock } from '@millrace/kernel';
import type { Session } from './session.ts';

/** Longest time that updates are written in one slice before replies and new connections get their turn, ms. */
const SLICE_MS = 3;
/** An update that has waited longer is dropped; its reader gets a full view instead. */
const STALE_MS = 1_000;
/** Writes between two reads of the clock. */
const WRITES_PER_LOOK = 32;

interface Cast {
  readonly sessions: readonly Session[];
  /** For each session, its `visit` when the update was queued. */
  readonly visits: readonly number[];
  readonly frame: Uint8Array;
  readonly at: number;
  next: number;
}

/**
 * Queue of updates for sessions. A tick of a hundred zones is thousands of writes. They are made in short slices, so that a
 * reply never waits for all of them.
 */
export class UpdateBroadcast {
  readonly #clock: Clock;
  readonly #onDropped: (session: Session) => void;
  #queue: Cast[] = [];
  #first = 0;
  #isDue = false;

  constructor(clock: Clock, onDropped: (session: Session) => void) {
    this.#clock = clock;
    this.#onDropped = onDropped;
  }

  add(sessions: readonly Session[], frame: Uint8Array): void {
    if (sessions.length === 0) return;
    this.#queue.push({ sessions, visits: sessions.map(({ visit }) => visit), frame, at: this.#clock.elapsed(), next: 0 });
    this.#schedule();
  }

  /** Number of queued updates, and the age of the oldest, ms. */
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
    // The session has entered a zone since, so this update is for a view that the client has discarded.
    if (session.visit !== cast.visits[index] || !session.connection) return;
    if (isStale ? session.connection.recordDroppedUpdate() : !session.connection.offer(cast.frame)) this.#onDropped(session);
  }
}
