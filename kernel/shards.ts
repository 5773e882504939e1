import type { ZoneAddress } from './command.ts';
import { retryDelayMs } from './deadline.ts';
import type { HostParts } from './host-parts.ts';
import { MEMORY_EVENTS_MAX } from './outbox.ts';
import { Shard } from './shard.ts';
import type { Standbys } from './standbys.ts';

/** Delay before the first retry of a claim for what an earlier run has left, ms. It doubles with each failure. */
const RETRY_FIRST_MS = 100;

/** The shards that a host owns or claims. */
export class Shards {
  readonly #parts: ConstructorParameters<typeof Shard>[0];
  readonly #standbys: Standbys;
  /** The newest ownership of each shard. */
  readonly #shards = new Map<number, Shard>();
  /** All ownerships that have not ended, also those that a newer one waits for. */
  readonly #unended = new Set<Shard>();
  /** Shards with batches of an earlier run; each resolves when the log has them, or the host is closed. */
  readonly #left = new Map<number, Promise<void>>();
  readonly #closed = Promise.withResolvers<void>();
  /** Cancels the pause before the next claim of a shard. */
  readonly #pauses = new Map<number, () => void>();
  #isClosed = false;
  /** Counts of ownerships that have ended. */
  readonly #ended = { lostEvents: 0, appendedEvents: 0, failures: 0 };

  constructor({ standbys, ...parts }: Pick<HostParts, 'options' | 'entries' | 'observers' | 'onLost'> & { readonly standbys: Standbys }) {
    this.#parts = { ...parts, memory: { events: 0 } };
    this.#standbys = standbys;
    for (const index of parts.options.spools.left())
      this.#left.set(
        index,
        this.#writeLeft(index).finally(() => this.#left.delete(index)),
      );
  }

  /** The shard of a zone. It is claimed if this host does not own it. */
  of(zone: ZoneAddress): Shard {
    return this.#at(this.#parts.options.log.shardOf(zone));
  }

  all(): Shard[] {
    return [...this.#shards.values()];
  }

  /** Whether the events of all shards go straight to the log, and those of an earlier run are there. */
  get areFlowing(): boolean {
    return this.#left.size === 0 && this.all().every(({ outbox }) => outbox.isFlowing);
  }

  async flowing(): Promise<void> {
    await Promise.all(this.#left.values());
    await Promise.all(this.all().map(({ outbox }) => outbox.flowing()));
  }

  async drained(): Promise<void> {
    await Promise.all(this.all().map(({ outbox }) => outbox.drained()));
  }

  async release(): Promise<void> {
    this.#isClosed = true;
    this.#closed.resolve();
    for (const cancel of this.#pauses.values()) cancel();
    await Promise.all(this.all().map((shard) => shard.release()));
  }

  stats() {
    const outboxes = this.all().map(({ outbox }) => outbox.stats());
    const sum = (field: 'waitingEvents' | 'spooledBatches') => outboxes.reduce((total, one) => total + one[field], 0);
    const count = (field: 'lostEvents' | 'appendedEvents' | 'failures') =>
      [...this.#unended].reduce((total, { outbox }) => total + outbox.stats()[field], this.#ended[field]);
    const { bytes, bytesMax } = this.#parts.options.spools;
    return {
      shards: this.all().length,
      suspendedShards: this.all().filter(({ state }) => state === 'suspended').length,
      outbox: {
        /** `flowing`: events go straight to the log. `spooling`: those of a shard go through the spool: the log is unavailable or too slow. */
        mode: this.areFlowing ? ('flowing' as const) : ('spooling' as const),
        waitingEvents: sum('waitingEvents'),
        waitingEventsMax: this.#parts.options.outboxMemoryEventsMax ?? MEMORY_EVENTS_MAX,
        spooledBatches: sum('spooledBatches'),
        spooledBytes: bytes,
        spooledBytesMax: bytesMax,
        lostEvents: count('lostEvents'),
        appendedEvents: count('appendedEvents'),
        failures: count('failures'),
      },
    };
  }

  /** Writes what an earlier run has left of a shard, also when none of its zones is opened. */
  async #writeLeft(index: number): Promise<void> {
    for (let attempt = 1; !this.#isClosed; attempt++) {
      const shard = this.#at(index);
      const isOwned = await shard.owned().then(
        () => true,
        () => false,
      );
      if (isOwned) return shard.outbox.flowing().then(() => shard.outbox.drained());
      if (this.#isClosed) return;
      const pause = new Promise<void>((resolve) => {
        this.#pauses.set(index, this.#parts.options.clock.after(retryDelayMs(attempt, RETRY_FIRST_MS), resolve));
      });
      await Promise.race([pause, this.#closed.promise]);
    }
  }

  #at(index: number): Shard {
    const before = this.#shards.get(index);
    if (before && before.state !== 'ended') return before;
    const shard = new Shard(this.#parts, index, before?.gone ?? Promise.resolve());
    this.#shards.set(index, shard);
    this.#unended.add(shard);
    shard.owned().then(
      () => this.#standbys.owned(index),
      () => {},
    );
    void shard.gone.then(() => this.#remove(shard));
    return shard;
  }

  #remove(shard: Shard): void {
    if (this.#shards.get(shard.index) === shard) {
      this.#shards.delete(shard.index);
      this.#standbys.ended(shard.index);
    }
    this.#unended.delete(shard);
    const { lostEvents, appendedEvents, failures } = shard.outbox.stats();
    this.#ended.lostEvents += lostEvents;
    this.#ended.appendedEvents += appendedEvents;
    this.#ended.failures += failures;
  }
}
