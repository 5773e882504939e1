import type { DeadLetter } from '@millrace/contracts';
import type { EventBatch } from '@millrace/kernel';
import { partOfCommit, type StoreWriter } from '@millrace/lmdb/commit';
import { inTransaction } from '@millrace/lmdb/open-shared';
import type { Database, RootDatabase } from 'lmdb';
import type { DeadLetterBox, OpenDeadLetter } from './event-log.ts';

/** A dead letter as the store holds it. Existing stores have it as `letter`, so the field keeps its name. */
export interface StoredDeadLetter {
  readonly letter: DeadLetter;
  readonly batch: EventBatch;
}

/** Key of an event that was ever a dead letter. */
export type DeadEventKey = [group: string, zone: string, seq: number];
/** Its place in the log, and the id of its dead letter. Older stores lack the id. */
export interface DeadEventPlace {
  readonly partition: number;
  readonly offset: number;
  readonly id?: number;
}

/** Maximum number of dead letters. A consumer group that rejects everything stops here, before its dead letters fill the disk of the log. */
const DEAD_LETTERS_MAX = 10_000;

/** Dead letters in the environment of the log. */
export class LmdbDeadLetters implements DeadLetterBox {
  readonly #deadLetters: Database<StoredDeadLetter, number>;
  /** Every event that was put, by group, zone and seq, with its place in the log. */
  readonly #events: Database<DeadEventPlace, DeadEventKey>;
  readonly #writer: StoreWriter;
  readonly #startOf: (partition: number) => number;
  readonly #max: number;

  constructor(root: RootDatabase, writer: StoreWriter, startOf: (partition: number) => number, max = DEAD_LETTERS_MAX) {
    this.#writer = writer;
    this.#max = max;
    this.#deadLetters = root.openDB({ name: 'dead-letters' });
    this.#events = root.openDB({ name: 'dead-events' });
    this.#startOf = startOf;
  }

  async put(deadLetter: Omit<DeadLetter, 'id'>, batch: EventBatch): Promise<void> {
    await this.#write(() => {
      if (this.#deadLetters.getCount() >= this.#max)
        throw new Error(`${this.#max} dead letters wait, the maximum. Replay or delete some (GET /api/v1/dead-letters lists them).`);
      const [newest] = this.#deadLetters.getKeys({ reverse: true, limit: 1 });
      const id = (newest ?? 0) + 1;
      partOfCommit(this.#deadLetters.put(id, { letter: { id, ...deadLetter }, batch }));
      const { group, zone, partition, offset } = deadLetter;
      for (const [index] of batch.events.entries())
        partOfCommit(this.#events.put([group, zone, batch.firstSeq + index], { partition, offset: offset + index, id }));
    });
  }

  /** Forgets the events that retention has deleted. */
  async prune(): Promise<void> {
    await this.#write(() => {
      for (const { key, value } of this.#events.getRange())
        if (value.offset < this.#startOf(value.partition)) partOfCommit(this.#events.remove(key));
    });
  }

  async has(group: string, zone: string, seq: number): Promise<boolean> {
    const id = this.#events.get([group, zone, seq])?.id;
    const letter = id === undefined ? undefined : this.#deadLetters.get(id)?.letter;
    // The id of a removed dead letter may be used again.
    return letter?.group === group && letter.zone === zone && letter.seq === seq;
  }

  async wasPut(group: string, zone: string, seq: number): Promise<boolean> {
    return this.#events.get([group, zone, seq]) !== undefined;
  }

  async list(group?: string): Promise<DeadLetter[]> {
    const deadLetters = [...this.#deadLetters.getRange().map(({ value }) => value.letter)];
    return group === undefined ? deadLetters : deadLetters.filter((deadLetter) => deadLetter.group === group);
  }

  async replace(id: number, batch: EventBatch): Promise<void> {
    await this.#write(() => {
      const known = this.#deadLetters.get(id);
      if (known) partOfCommit(this.#deadLetters.put(id, { ...known, batch }));
    });
  }

  async count(): Promise<number> {
    return this.#deadLetters.getCount();
  }

  async open(id: number): Promise<OpenDeadLetter | undefined> {
    const stored = this.#deadLetters.get(id);
    return stored && { deadLetter: stored.letter, batch: stored.batch };
  }

  async remove(id: number): Promise<void> {
    await this.#writer.commit(() => this.#deadLetters.remove(id));
  }

  async #write(work: () => void): Promise<void> {
    await this.#writer.commit(() => inTransaction(this.#deadLetters, work));
  }
}
