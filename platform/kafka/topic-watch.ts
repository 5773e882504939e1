import { type Clock, messageOf } from '@millrace/kernel';
import { BrokerError, type ShardReplicas, type TopicBroker } from './shard-broker.ts';

/** Interval at which the ends of the shards are read while somebody waits for new records, and otherwise, ms. */
const POLL_MS = 50;
const IDLE_POLL_MS = 1_000;
/** Interval after a failure, ms. */
const RETRY_MS = 500;
/** Time that the start waits until all leaders respond, and the time between two attempts, ms. */
const OPEN_MS_MAX = 10_000;
const OPEN_RETRY_MS = 100;
/** Interval at which sizes, starts and replicas are read, ms. */
const SURVEY_MS = 5_000;

/** Bounds of a shard, from memory. */
interface Bounds {
  start: number;
  end: number;
}

/** What is known of the shards of a topic: their bounds, size and replicas, read again and again. */
export class TopicWatch {
  readonly #broker: TopicBroker;
  readonly #clock: Clock;
  readonly #bounds: Bounds[];
  readonly #listeners = new Set<() => void>();
  #bytes: number | null = null;
  #sizeFailure: string | null = null;
  #replicas: readonly ShardReplicas[] = [];
  #failure: string | null = null;
  /** Whether the leaders of some shards have responded, and others not. */
  #isPartlyRead = false;
  #surveyedAt = Number.NEGATIVE_INFINITY;
  #cancel: () => void = () => {};
  #isClosed = false;

  private constructor(broker: TopicBroker, clock: Clock, shards: number) {
    this.#broker = broker;
    this.#clock = clock;
    this.#bounds = Array.from({ length: shards }, () => ({ start: 0, end: 0 }));
  }

  /** Reads the bounds once, and then again and again until it is closed. @throws BrokerError when no leader responds */
  static async open(broker: TopicBroker, clock: Clock, shards: number): Promise<TopicWatch> {
    const watch = new TopicWatch(broker, clock, shards);
    // Leaders of a new topic respond a moment after the controller has named them.
    for (const until = clock.elapsed() + OPEN_MS_MAX; ; ) {
      try {
        await watch.#survey();
        await watch.#requireEnds();
        break;
      } catch (error) {
        if (clock.elapsed() > until) {
          if (!watch.#isPartlyRead) throw error;
          // The other shards can be read and written.
          watch.#failure = messageOf(error);
          break;
        }
        await new Promise<void>((resolve) => void clock.after(OPEN_RETRY_MS, resolve));
      }
    }
    watch.#wait(IDLE_POLL_MS);
    return watch;
  }

  get bounds(): readonly Readonly<Bounds>[] {
    return this.#bounds;
  }

  /** Null when the brokers do not tell it. */
  get bytes(): number | null {
    return this.#bytes;
  }

  /** Why the brokers do not tell the size; null when they do. */
  get sizeFailure(): string | null {
    return this.#sizeFailure;
  }

  get replicas(): readonly ShardReplicas[] {
    return this.#replicas;
  }

  /** Why the brokers could not be asked last time; null when they could. */
  get failure(): string | null {
    return this.#failure;
  }

  startOf(shard: number): number {
    return this.#boundsOf(shard).start;
  }

  endOf(shard: number): number {
    return this.#boundsOf(shard).end;
  }

  /** Calls back when a shard has new records; the returned function ends it. */
  onRecords(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.#wait(POLL_MS);
    return () => this.#listeners.delete(listener);
  }

  /** Takes note of a shard’s end that is known from elsewhere. */
  noteEnd(shard: number, end: number): void {
    const bounds = this.#boundsOf(shard);
    if (end <= bounds.end) return;
    bounds.end = end;
    for (const listener of this.#listeners) listener();
  }

  /** Takes note of a shard’s start that is known from elsewhere. */
  noteStart(shard: number, start: number): void {
    const bounds = this.#boundsOf(shard);
    bounds.start = Math.max(bounds.start, start);
  }

  /** Reads the ends of all shards now; null where the leader does not respond. */
  async readEnds(): Promise<readonly (number | null)[]> {
    const ends = await this.#broker.ends();
    for (const [shard, end] of ends.entries()) if (end !== null && shard < this.#bounds.length) this.noteEnd(shard, end);
    return this.#bounds.map(({ end }, shard) => ((ends[shard] ?? null) === null ? null : end));
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  /** @throws BrokerError when a leader does not respond, after the ends of the others are read */
  async #requireEnds(): Promise<void> {
    const ends = await this.readEnds();
    const silent = ends.flatMap((end, shard) => (end === null ? [shard] : []));
    if (silent.length === 0) return;
    this.#isPartlyRead = silent.length < ends.length;
    throw new BrokerError('unknown', `the leaders of the shards ${silent.join(', ')} do not respond`);
  }

  async #survey(): Promise<void> {
    this.#surveyedAt = this.#clock.elapsed();
    this.#replicas = await this.#broker.replicas();
    for (const [shard, start] of (await this.#broker.starts()).entries())
      if (start !== null && shard < this.#bounds.length) this.noteStart(shard, start);
    try {
      this.#bytes = await this.#broker.bytes();
      this.#sizeFailure = null;
    } catch (error) {
      this.#bytes = null;
      this.#sizeFailure = messageOf(error);
    }
  }

  #wait(ms: number): void {
    this.#cancel();
    if (this.#isClosed) return;
    this.#cancel = this.#clock.after(ms, () => void this.#poll());
  }

  async #poll(): Promise<void> {
    let next = this.#listeners.size > 0 ? POLL_MS : IDLE_POLL_MS;
    try {
      if (this.#clock.elapsed() - this.#surveyedAt >= SURVEY_MS) await this.#survey();
      await this.#requireEnds();
      this.#failure = null;
    } catch (error) {
      this.#failure = messageOf(error);
      next = Math.max(next, RETRY_MS);
    }
    this.#wait(next);
  }

  #boundsOf(shard: number): Bounds {
    const bounds = this.#bounds[shard];
    if (!bounds) throw new RangeError(`shard ${shard} does not exist; there are ${this.#bounds.length}`);
    return bounds;
  }
}
