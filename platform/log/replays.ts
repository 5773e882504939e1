import type { EventLog } from './event-log.ts';
import type { Projection } from './projection.ts';

/** Replays the dead letters of a projection. */
export class Replays {
  readonly #log: Pick<EventLog, 'deadLetters'>;
  readonly #projection: Projection;
  /** Running replays, by id. */
  readonly #running = new Map<number, Promise<boolean>>();

  constructor(log: Pick<EventLog, 'deadLetters'>, projection: Projection) {
    this.#log = log;
    this.#projection = projection;
  }

  /** Applies a dead letter again, and removes it. False for an unknown id. Throws the errors of the projection. A concurrent call shares the replay. */
  replay(id: number): Promise<boolean> {
    const replay = this.#running.get(id) ?? this.#replay(id).finally(() => this.#running.delete(id));
    this.#running.set(id, replay);
    return replay;
  }

  async #replay(id: number): Promise<boolean> {
    const dead = await this.#log.deadLetters.open(id);
    if (!dead || dead.deadLetter.group !== this.#projection.name) return false;
    await this.#projection.apply([dead.batch], [], dead.deadLetter.resumeFrom);
    await this.#log.deadLetters.remove(id);
    return true;
  }
}
