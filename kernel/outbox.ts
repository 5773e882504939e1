import { type Checkpoint, type EventBatch, lastSeqOf, writerOf } from './batch.ts';
import { messageOf, within } from './deadline.ts';
import { type Refused, refused, type ZoneAddress } from './definition.ts';
import { DurableWaiters } from './durable-waiters.ts';
import type { Appended, Clock, LogPosition, Spool, ZoneLog } from './ports.ts';

/** Events in one append: large enough that grouping pays, small enough that an append takes milliseconds. */
const GROUP_EVENTS_MAX = 4_096;
/** And in one that comes from the spool: it is read back from the disk while everyone waits. */
const SPOOLED_EVENTS_MAX = 512;
/** Events that wait in memory for a log that is slow; beyond it they go to the spool. About 50 MB of trades. */
const MEMORY_EVENTS_MAX = 200_000;
/** Appends that the log has taken and not yet made durable: more than a slow disk lets come together. */
const FLIGHTS_MAX = 64;
/** An append without an answer for so long counts as failed. Should it have been written all the same, the log knows the repeat. */
const APPEND_MS_MAX = 5_000;
/** Waits between attempts to reach a log that is unavailable. */
const RETRY_FIRST_MS = 100;
const RETRY_MS_MAX = 5_000;

/** What a zone is now, to bridge a loss in its record. */
interface PresentZone {
  readonly checkpoint: Checkpoint;
  readonly seq: number;
  readonly epoch: number;
  readonly version: number;
}

export interface OutboxOptions {
  readonly log: Pick<ZoneLog, 'append'>;
  readonly spool: Spool;
  readonly clock: Clock;
  /** The present state of a zone of this host, whose record lacks the events from a seq on; `later` while it has none that counts, `gone` when it is not here. */
  readonly presentOf: (zone: ZoneAddress, firstLostSeq: number) => PresentZone | 'later' | 'gone';
  /** Under which epoch a zone is owned here; undefined when it is not. */
  readonly epochOf: (zone: ZoneAddress) => number | undefined;
  readonly onDurable: (batch: EventBatch, position: LogPosition) => void;
  /** Another owner has claimed the zone: nothing it decides here counts any more. */
  readonly onStale: (zone: ZoneAddress, epoch: number) => void;
  readonly onTrouble: (message: string) => void;
  readonly memoryEventsMax?: number;
}

export interface OutboxFigures {
  /** `flowing`: straight to the log. `spooling`: by way of the disk, because the log is unavailable or too slow. */
  readonly mode: 'flowing' | 'spooling';
  readonly waitingEvents: number;
  readonly waitingEventsMax: number;
  readonly spooledBatches: number;
  readonly spooledBytes: number;
  readonly spooledBytesMax: number;
  readonly lostEvents: number;
  readonly appendedEvents: number;
  readonly failures: number;
}

/** An append under way. */
interface Flight {
  readonly batches: readonly EventBatch[];
  readonly spooled: boolean;
  taken: boolean;
  appended: readonly Appended[] | null;
}

/**
 * Decided events on their way to the log, in order. The log takes one append at a time; what is decided meanwhile makes
 * up the next (group commit without a timer). When the log fails, everything goes through the spool until that is
 * drained. When the spool is full or fails too, events are lost: a range for each zone, written to the log as a fact
 * together with the zone’s state as soon as it can be.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  #queue: EventBatch[] = [];
  #queuedEvents = 0;
  /** Appends under way, oldest first. */
  #flights: Flight[] = [];
  #spooling: boolean;
  #retryMs = RETRY_FIRST_MS;
  #cancelRetry: (() => void) | null = null;
  #closed = false;
  /** First lost seq of each zone that has a hole the log does not know of yet. */
  readonly #losses = new Map<ZoneAddress, number>();
  readonly #durable = new Map<ZoneAddress, number>();
  readonly #waiters = new DurableWaiters();
  /** Batches taken so far, and how many of them are in the log, on the spool, or known to be lost: they go in order. */
  #taken = 0;
  #recorded = 0;
  #awaiting: { upTo: number; resolve: () => void }[] = [];
  #awaitingFlow: (() => void)[] = [];
  #lostEvents = 0;
  #appendedEvents = 0;
  #failures = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#spooling = options.spool.batches > 0;
  }

  /** Takes decided batches; never blocks, never fails. */
  push(batches: readonly EventBatch[]): void {
    this.#taken += batches.length;
    if (this.#spooling) {
      this.#spill(batches);
      this.#pump();
      return;
    }
    for (const batch of batches) {
      this.#queue.push(batch);
      this.#queuedEvents += batch.events.length;
    }
    if (this.#queuedEvents > (this.#options.memoryEventsMax ?? MEMORY_EVENTS_MAX))
      this.#leaveMemory('the log is too slow for what is decided');
    this.#pump();
  }

  /** Whether nothing has to go by way of the disk, because the log is unavailable or too slow. */
  get isFlowing(): boolean {
    return !this.#spooling;
  }

  /** Whether a `durable` reply may be promised for a zone now. */
  promises(zone: ZoneAddress): boolean {
    return !this.#losses.has(zone) && this.#options.spool.bytes < this.#options.spool.bytesMax;
  }

  /** Calls back when the log has the zone’s events up to `seq`, or with a refusal when it never will. */
  whenDurable(zone: ZoneAddress, seq: number, done: (refusal: Refused | null) => void): void {
    if ((this.#durable.get(zone) ?? 0) >= seq || seq === 0) return done(null);
    this.#waiters.add(zone, seq, done);
  }

  /** Everything of a zone that the log may not have yet, oldest first. @throws when the spool cannot be read */
  unrecorded(zone: ZoneAddress): EventBatch[] {
    const spooled = this.#options.spool.batches > 0 ? this.#options.spool.ofZone(zone) : [];
    return [...spooled, ...this.#inMemory(zone)];
  }

  /** How many events that are; reads nothing from the disk. */
  unrecordedEvents(zone: ZoneAddress): number {
    return this.#inMemory(zone).reduce((sum, batch) => sum + batch.events.length, this.#options.spool.eventsOf(zone));
  }

  /** Whether the zone’s record has a hole that is not bridged yet; its snapshots do not count until it is. */
  hasLoss(zone: ZoneAddress): boolean {
    return this.#losses.has(zone);
  }

  /** A zone was claimed, and the log holds it up to `seq`. What was lost under an earlier epoch is no part of it. */
  begin(zone: ZoneAddress, seq: number): void {
    this.#losses.delete(zone);
    this.#durable.set(zone, seq);
  }

  forget(zone: ZoneAddress): void {
    this.#durable.delete(zone);
    this.#losses.delete(zone);
  }

  /** Resolves when everything decided up to now is in the log, or, while the log is unavailable, on the spool’s disk. */
  drained(): Promise<void> {
    this.#pump();
    if (this.#recorded >= this.#taken) return Promise.resolve();
    const upTo = this.#taken;
    return new Promise((resolve) => this.#awaiting.push({ upTo, resolve }));
  }

  /** Resolves when what is decided goes straight to the log, or when this is closed. */
  flowing(): Promise<void> {
    this.#pump();
    if (!this.#spooling || this.#closed) return Promise.resolve();
    return new Promise((resolve) => this.#awaitingFlow.push(resolve));
  }

  /** Stops trying. What is in memory and not in the log goes to the spool. */
  async close(): Promise<void> {
    await this.drained();
    this.#closed = true;
    this.#cancelRetry?.();
    this.#tellFlowing();
    this.#waiters.settleAll(refused('OUTCOME_UNKNOWN', 'Send the same command with the same id again.'));
  }

  figures(): OutboxFigures {
    const { spool, memoryEventsMax } = this.#options;
    return {
      mode: this.#spooling ? 'spooling' : 'flowing',
      waitingEvents: this.#queuedEvents,
      waitingEventsMax: memoryEventsMax ?? MEMORY_EVENTS_MAX,
      spooledBatches: spool.batches,
      spooledBytes: spool.bytes,
      spooledBytesMax: spool.bytesMax,
      lostEvents: this.#lostEvents,
      appendedEvents: this.#appendedEvents,
      failures: this.#failures,
    };
  }

  /** Appends what waits, unless one is on its way that the log has not taken yet: what comes meanwhile makes up the next. */
  #pump(): void {
    while (!this.#closed && !this.#cancelRetry && this.#flights.length < FLIGHTS_MAX && this.#flights.every(({ taken }) => taken)) {
      // The spool is forgotten batch by batch as the log takes it, so it goes alone.
      if (this.#spooling && this.#flights.length > 0) return;
      let group: { batches: EventBatch[]; spooled: boolean };
      try {
        group = this.#nextGroup();
      } catch (error) {
        return this.#retryLater(`the spool cannot be read: ${messageOf(error)}`);
      }
      if (group.batches.length === 0) return;
      this.#send({ ...group, taken: false, appended: null });
    }
  }

  #send(flight: Flight): void {
    this.#flights.push(flight);
    const onTaken = () => {
      flight.taken = !flight.spooled;
      if (flight.taken) this.#pump();
    };
    const { clock, log } = this.#options;
    within(clock, APPEND_MS_MAX, 'the log', log.append(flight.batches, onTaken)).then(
      (appended) => {
        flight.taken = true;
        flight.appended = appended;
        this.#arrive();
        this.#pump();
      },
      (error) => this.#fail(flight, error),
    );
  }

  /** Flights that are over, in the order in which they began. */
  #arrive(): void {
    for (let flight = this.#flights[0]; flight?.appended; flight = this.#flights[0]) {
      this.#flights.shift();
      this.#retryMs = RETRY_FIRST_MS;
      if (flight.spooled) this.#dropSpooled(flight.batches.length);
      else this.#noteRecorded(flight.batches.length);
      this.#landed(flight.batches, flight.appended);
    }
  }

  /** What cannot be dropped is offered to the log once more, which knows repeats. */
  #dropSpooled(count: number): void {
    try {
      this.#options.spool.drop(count);
    } catch (error) {
      this.#retryLater(`the spool cannot be cut: ${messageOf(error)}`);
    }
  }

  #fail(flight: Flight, error: unknown): void {
    // It went to the spool with one before it that failed.
    if (!this.#flights.includes(flight)) return;
    this.#leaveMemory();
    this.#retryLater(`the log took nothing: ${messageOf(error)}`);
  }

  #retryLater(failure: string): void {
    this.#failures++;
    this.#options.onTrouble(`${failure}; trying again in ${this.#retryMs} ms`);
    this.#cancelRetry?.();
    this.#cancelRetry = this.#options.clock.after(this.#retryMs, () => {
      this.#cancelRetry = null;
      this.#pump();
    });
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }

  #nextGroup(): { batches: EventBatch[]; spooled: boolean } {
    if (this.#spooling) {
      const spooled = this.#options.spool.oldest(SPOOLED_EVENTS_MAX);
      if (spooled.length > 0) return { batches: spooled, spooled: true };
      const bridges = this.#bridgeLosses();
      this.#spooling = false;
      this.#tellFlowing();
      this.#taken += bridges.length;
      this.#queue.unshift(...bridges);
    }
    let events = 0;
    let count = 0;
    while (count < this.#queue.length && events < GROUP_EVENTS_MAX) events += (this.#queue[count++] as EventBatch).events.length;
    const batches = count === this.#queue.length ? this.#queue : this.#queue.slice(0, count);
    this.#queue = count === this.#queue.length ? [] : this.#queue.slice(count);
    this.#queuedEvents -= events;
    return { batches, spooled: false };
  }

  /** Moves what waits in memory to the disk, in order. What is under way is moved too: the log knows repeats. */
  #leaveMemory(trouble?: string): void {
    if (trouble) this.#options.onTrouble(trouble);
    const batches = [...this.#flying(), ...this.#queue];
    this.#spooling = true;
    this.#flights = [];
    this.#queue = [];
    this.#queuedEvents = 0;
    this.#spill(batches);
  }

  /** What is under way and in no other place. */
  #flying(): EventBatch[] {
    return this.#flights.flatMap(({ batches, spooled }) => (spooled ? [] : batches));
  }

  #inMemory(zone: ZoneAddress): EventBatch[] {
    return [...this.#flying(), ...this.#queue].filter((batch) => batch.zone === zone);
  }

  #spill(batches: readonly EventBatch[]): void {
    const whole = this.#losses.size === 0 ? batches : batches.filter((batch) => !this.#losses.has(batch.zone));
    for (const batch of batches) if (this.#losses.has(batch.zone)) this.#lose(batch);
    let taken = 0;
    try {
      taken = this.#options.spool.add(whole);
    } catch (error) {
      this.#options.onTrouble(`the spool cannot be written: ${messageOf(error)}`);
    }
    for (let index = taken; index < whole.length; index++) this.#lose(whole[index] as EventBatch);
    this.#noteRecorded(batches.length);
  }

  #lose(batch: EventBatch): void {
    // What was decided under an earlier epoch is not part of what the zone is now, so it leaves no hole in it.
    if (!this.#losses.has(batch.zone) && this.#options.epochOf(batch.zone) === writerOf(batch)) {
      this.#losses.set(batch.zone, batch.firstSeq);
      this.#options.onTrouble(`the spool has no room: ${batch.zone} loses its record from seq ${batch.firstSeq}`);
    }
    this.#lostEvents += batch.events.length;
    const seq = lastSeqOf(batch);
    this.#waiters.settle(batch.zone, seq, refused('NOT_RECORDED', `Events up to seq ${seq} of ${batch.zone} are lost.`));
  }

  /** For each zone with a hole: the fact that it was lost, and the state after it. */
  #bridgeLosses(): EventBatch[] {
    const bridges: EventBatch[] = [];
    for (const [zone, firstSeq] of this.#losses) {
      const present = this.#options.presentOf(zone, firstSeq);
      // A zone that failed is brought back from its record under a new epoch; until then it decides nothing.
      if (present === 'later') continue;
      this.#losses.delete(zone);
      if (present === 'gone') continue;
      bridges.push({
        zone,
        epoch: present.epoch,
        firstSeq,
        version: present.version,
        time: this.#options.clock.now(),
        events: [],
        metas: null,
        loss: { lastSeq: present.seq, checkpoint: structuredClone(present.checkpoint) },
      });
    }
    return bridges;
  }

  #landed(batches: readonly EventBatch[], appended: readonly Appended[]): void {
    for (const [index, batch] of batches.entries()) {
      const outcome = appended[index];
      if (outcome === undefined || outcome === 'stale') {
        this.#waiters.settle(batch.zone, lastSeqOf(batch), refused('ZONE_STOPPED', `${batch.zone} has another owner now.`));
        this.#options.onStale(batch.zone, writerOf(batch));
        continue;
      }
      this.#appendedEvents += batch.events.length;
      const seq = lastSeqOf(batch);
      this.#durable.set(batch.zone, Math.max(seq, this.#durable.get(batch.zone) ?? 0));
      this.#options.onDurable(batch, outcome.at);
      this.#waiters.settle(batch.zone, seq, null);
    }
  }

  #tellFlowing(): void {
    const awaiting = this.#awaitingFlow;
    this.#awaitingFlow = [];
    for (const resolve of awaiting) resolve();
  }

  #noteRecorded(batches: number): void {
    this.#recorded += batches;
    while (this.#awaiting[0] && this.#awaiting[0].upTo <= this.#recorded) this.#awaiting.shift()?.resolve();
  }
}
