import type { EventLog } from './event-log.ts';
import type { Projection } from './projection.ts';

/** Replays the dead letters of a projection. */
export class Replays {
  readonly #log: Pick<EventLog, 'deadLetters'>;
  readonly #projection: Projection;
  readonly #isOurs: (partition: number) => boolean;
  /** Running replays, by id. */
  readonly #running = new Map<number, Promise<boolean>>();

  /** @param isOurs whether this process has a partition of the group */
  constructor(log: Pick<EventLog, 'deadLetters'>, projection: Projection, isOurs: (partition: number) => boolean) {
    this.#log = log;
    this.#projection = projection;
    this.#isOurs = isOurs;
  }

  /**
   * Applies a dead letter again, and removes it. False for an unknown id. A concurrent call shares the replay.
   * @throws the errors of the projection; an error when another process has the partition: two of them would both apply it
   */
  replay(id: number): Promise<boolean> {
    const replay = this.#running.get(id) ?? this.#replay(id).finally(() => this.#running.delete(id));
    this.#running.set(id, replay);
    return replay;
  }

  async #replay(id: number): Promise<boolean> {
    const dead = await this.#log.deadLetters.open(id);
    if (!dead || dead.deadLetter.group !== this.#projection.name) return false;
    const { group, partition } = dead.deadLetter;
    if (!this.#isOurs(partition))
      throw new Error(
        `this process does not read partition ${partition} of ${group} now: another one does, where the dead letter can be replayed, or its lease has ended because the database does not respond`,
      );
    await this.#projection.apply([dead.batch], [], dead.deadLetter.resumeFrom);
    await this.#log.deadLetters.remove(id);
    return true;
  }
}
