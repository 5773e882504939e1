import { type EventBatch, lastSeqOf, SequenceGap, writerOf } from './batch.ts';
import { ANSWER_MS_MAX, messageOf, retryDelayMs, within } from './deadline.ts';
import { type Refused, refused, type ZoneAddress } from './definition.ts';
import { DurableWaiters } from './durable-waiters.ts';
import type { HostOptions, OutboxStats } from './host-options.ts';
import type { Observers } from './observers.ts';
import type { Appended } from './ports.ts';
import type { ZoneEntry } from './zone-entry.ts';

/** Events in one append: large enough that grouping pays, small enough that an append takes milliseconds. */
const GROUP_EVENTS_MAX = 4_096;
/** And in one that comes from the spool: it is read back from the disk while everyone waits. */
const SPOOLED_EVENTS_MAX = 512;
/** Events that wait in memory for a log that is slow; beyond it they go to the spool. About 50 MB of trades. */
const MEMORY_EVENTS_MAX = 200_000;
/** Appends that the log has taken and not yet made durable: more than a slow disk lets come together. */
const FLIGHTS_MAX = 64;
/** The first wait before a log that is unavailable is tried again. */
const RETRY_FIRST_MS = 100;

/** An append under way. */
interface Flight {
  readonly batches: readonly EventBatch[];
  readonly spooled: boolean;
  /** The log may be given the next. Of what comes from the spool only once it is durable: the spool forgets it then. */
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
  readonly #options: HostOptions;
  readonly #entries: ReadonlyMap<ZoneAddress, ZoneEntry>;
  readonly #observers: Observers;
  /** Another owner has claimed the zone: nothing it decides here counts any more. */
  readonly #onStale: (zone: ZoneAddress, epoch: number) => void;
  #queue: EventBatch[] = [];
  #queuedEvents = 0;
  /** Appends under way, oldest first. */
  #flights: Flight[] = [];
  /** Everything goes by way of the spool. Then nothing is queued in memory. */
  #spooling: boolean;
  /** Failures in a row. */
  #attempts = 0;
  #cancelRetry: (() => void) | null = null;
  #closed = false;
  /** Zones of which the spool has lost something in between, with the first seq that is lost: what follows there cannot be recorded any more. */
  readonly #gaps = new Map<ZoneAddress, number>();
  readonly #waiters = new DurableWaiters();
  /** Batches taken so far, and how many of them are in the log, on the spool, or known to be lost: they go in order. */
  #taken = 0;
  #recorded = 0;
  #awaiting: { readonly isSo: () => boolean; readonly resolve: () => void }[] = [];
  #lostEvents = 0;
  #appendedEvents = 0;
  #failures = 0;

  constructor(
    options: HostOptions,
    entries: ReadonlyMap<ZoneAddress, ZoneEntry>,
    observers: Observers,
    onStale: (zone: ZoneAddress, epoch: number) => void,
  ) {
    this.#options = options;
    this.#entries = entries;
    this.#observers = observers;
    this.#onStale = onStale;
    this.#spooling = options.spool.batches > 0;
    // What an earlier run left is written whether or not any zone is opened here.
    options.clock.soon(() => this.#pump());
  }

  /** Takes decided batches; never blocks, never fails. */
  push(batches: readonly EventBatch[]): void {
    this.#taken += batches.length;
    if (this.#spooling) this.#spill(batches);
    else for (const batch of batches) this.#enqueue(batch);
    if (this.#queuedEvents > this.#memoryEventsMax) {
      this.#report('the log is too slow for what is decided');
      this.#leaveMemory();
    }
    this.#pump();
  }

  /** Whether nothing has to go by way of the disk, because the log is unavailable or too slow. */
  get isFlowing(): boolean {
    return !this.#spooling;
  }

  /** Whether a `durable` reply may be promised for a zone now. */
  promises(zone: ZoneAddress): boolean {
    return !this.#hasLoss(zone) && this.#options.spool.bytes < this.#options.spool.bytesMax;
  }

  /** Calls back when the log has the zone’s events up to `seq`, or with a refusal when it never will. */
  whenDurable(zone: ZoneAddress, seq: number, done: (refusal: Refused | null) => void): void {
    if (seq <= (this.#entries.get(zone)?.durableSeq ?? 0)) done(null);
    else this.#waiters.add(zone, seq, done);
  }

  /** Everything of a zone that the log may not have yet, oldest first. @throws when the spool cannot be read */
  unrecorded(zone: ZoneAddress): EventBatch[] {
    return [...this.#options.spool.ofZone(zone), ...this.#inMemory(zone)];
  }

  /** How many events that are; reads nothing from the disk. */
  unrecordedEvents(zone: ZoneAddress): number {
    return this.#inMemory(zone).reduce((sum, batch) => sum + batch.events.length, this.#options.spool.eventsOf(zone));
  }

  /** Resolves when everything decided up to now is in the log, or, while the log is unavailable, on the spool’s disk. */
  drained(): Promise<void> {
    const upTo = this.#taken;
    return this.#when(() => this.#recorded >= upTo);
  }

  /** Resolves when what is decided goes straight to the log, or when this is closed. */
  flowing(): Promise<void> {
    return this.#when(() => !this.#spooling || this.#closed);
  }

  /** Stops trying. What is in memory and not in the log goes to the spool. */
  async close(): Promise<void> {
    await this.drained();
    this.#closed = true;
    this.#cancelRetry?.();
    this.#resolveAwaiting();
    this.#waiters.settleAll(refused('OUTCOME_UNKNOWN', 'Send the same command with the same id again.'));
  }

  stats(): OutboxStats {
    const { spool } = this.#options;
    return {
      mode: this.#spooling ? 'spooling' : 'flowing',
      waitingEvents: this.#queuedEvents,
      waitingEventsMax: this.#memoryEventsMax,
      spooledBatches: spool.batches,
      spooledBytes: spool.bytes,
      spooledBytesMax: spool.bytesMax,
      lostEvents: this.#lostEvents,
      appendedEvents: this.#appendedEvents,
      failures: this.#failures,
    };
  }

  get #memoryEventsMax(): number {
    return this.#options.outboxMemoryEventsMax ?? MEMORY_EVENTS_MAX;
  }

  /** Appends what waits, unless one is on its way that the log has not taken yet: what comes meanwhile makes up the next. */
  #pump(): void {
    while (!this.#closed && !this.#cancelRetry && this.#flights.length < FLIGHTS_MAX && this.#flights.every(({ taken }) => taken)) {
      let group: Pick<Flight, 'batches' | 'spooled'>;
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
      this.#pump();
    };
    const { clock, log } = this.#options;
    // Should one that fails have been written all the same, the log knows the repeat.
    within(clock, ANSWER_MS_MAX, 'the log', log.append(flight.batches, onTaken)).then(
      (appended) => {
        flight.taken = true;
        flight.appended = appended;
        this.#land();
        this.#pump();
      },
      (error) => {
        // One before it failed, and it went to the spool with that.
        if (!this.#flights.includes(flight)) return;
        this.#leaveMemory();
        if (!flight.spooled || !(error instanceof SequenceGap) || this.#gaps.has(error.zone))
          return this.#retryLater(`the log took nothing: ${messageOf(error)}`);
        this.#gaps.set(error.zone, error.due);
        this.#report(`what the spool holds of ${error.zone} does not follow its record and is given up: ${error.message}`);
        this.#pump();
      },
    );
  }

  /** Flights that are over, in the order in which they began. */
  #land(): void {
    for (let flight = this.#flights[0]; flight?.appended; flight = this.#flights[0]) {
      this.#flights.shift();
      this.#attempts = 0;
      if (flight.spooled) this.#dropSpooled(flight.batches.length);
      else this.#noteRecorded(flight.batches.length);
      for (const [index, batch] of flight.batches.entries()) this.#landed(batch, flight.appended[index] ?? 'stale');
    }
  }

  #landed(batch: EventBatch, outcome: Appended): void {
    const { zone } = batch;
    const seq = lastSeqOf(batch);
    if (outcome === 'stale') {
      this.#waiters.settle(zone, seq, refused('ZONE_STOPPED', `${zone} has another owner now.`));
      return this.#onStale(zone, writerOf(batch));
    }
    this.#appendedEvents += batch.events.length;
    const entry = this.#entries.get(zone);
    if (entry) {
      entry.durableSeq = Math.max(seq, entry.durableSeq);
      entry.zone.position = outcome.at;
    }
    this.#observers.publish(entry, ({ onDurable }) => onDurable?.(batch));
    this.#waiters.settle(zone, seq, null);
  }

  /** What cannot be dropped is offered to the log once more, which knows repeats. */
  #dropSpooled(count: number): void {
    try {
      this.#options.spool.drop(count);
    } catch (error) {
      this.#retryLater(`the spool cannot be cut: ${messageOf(error)}`);
    }
  }

  #retryLater(failure: string): void {
    this.#failures++;
    const ms = retryDelayMs(++this.#attempts, RETRY_FIRST_MS);
    this.#report(`${failure}; trying again in ${ms} ms`);
    this.#cancelRetry = this.#options.clock.after(ms, () => {
      this.#cancelRetry = null;
      this.#pump();
    });
  }

  #nextGroup(): Pick<Flight, 'batches' | 'spooled'> {
    if (this.#spooling) {
      for (let spooled = this.#oldestSpooled(); spooled.length > 0; spooled = this.#oldestSpooled()) {
        if (!this.#isBehindGap(spooled[0] as EventBatch)) return { batches: spooled, spooled: true };
        this.#options.spool.giveUp(spooled.length);
        for (const batch of spooled) this.#lose(batch, this.#gaps.get(batch.zone));
      }
      this.#gaps.clear();
      this.#spooling = false;
      this.#bridgeLosses();
      this.#resolveAwaiting();
    }
    let events = 0;
    let count = 0;
    while (count < this.#queue.length && events < GROUP_EVENTS_MAX) events += (this.#queue[count++] as EventBatch).events.length;
    this.#queuedEvents -= events;
    return { batches: this.#queue.splice(0, count), spooled: false };
  }

  /** Batches that are alike: all of them behind a gap, or none. */
  #oldestSpooled(): EventBatch[] {
    const oldest = this.#options.spool.oldest(SPOOLED_EVENTS_MAX);
    const isLost = oldest[0] && this.#isBehindGap(oldest[0]);
    const end = oldest.findIndex((batch) => this.#isBehindGap(batch) !== isLost);
    return end < 0 ? oldest : oldest.slice(0, end);
  }

  #isBehindGap(batch: EventBatch): boolean {
    return lastSeqOf(batch) >= (this.#gaps.get(batch.zone) ?? Number.POSITIVE_INFINITY);
  }

  #enqueue(batch: EventBatch): void {
    this.#queue.push(batch);
    this.#queuedEvents += batch.events.length;
  }

  /** Moves what waits in memory to the disk, in order. What is under way is moved too: the log knows repeats. */
  #leaveMemory(): void {
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

  #hasLoss(zone: ZoneAddress): boolean {
    return (this.#entries.get(zone)?.lostFrom ?? null) !== null;
  }

  /** Gives batches to the spool; loses those that it has no room for, and those behind a hole in their zone’s record. */
  #spill(batches: readonly EventBatch[]): void {
    const whole = batches.filter(({ zone }) => !this.#hasLoss(zone));
    let kept = new Set<EventBatch>();
    try {
      kept = new Set(whole.slice(0, this.#options.spool.add(whole)));
    } catch (error) {
      this.#report(`the spool cannot be written: ${messageOf(error)}`);
    }
    for (const batch of batches) if (!kept.has(batch)) this.#lose(batch);
    this.#noteRecorded(batches.length);
  }

  /** @param firstSeq the first that is lost, when it is one before the batch */
  #lose(batch: EventBatch, firstSeq = batch.firstSeq): void {
    const { zone } = batch;
    const entry = this.#entries.get(zone);
    // What was decided under an earlier epoch is not part of what the zone is now, so it leaves no hole in it.
    if (entry && entry.lostFrom === null && entry.zone.epoch === writerOf(batch)) {
      entry.lostFrom = firstSeq;
      this.#report(`the spool does not keep it: ${zone} loses its record from seq ${firstSeq}`);
    }
    this.#lostEvents += batch.events.length;
    const seq = lastSeqOf(batch);
    this.#waiters.settle(zone, seq, refused('NOT_RECORDED', `Events up to seq ${seq} of ${zone} are lost.`));
  }

  /** For each zone with a hole: the fact that it was lost, and the state after it. */
  #bridgeLosses(): void {
    for (const entry of this.#entries.values()) {
      // A zone that failed is brought back from its record under a new epoch; until then it decides nothing.
      if (entry.lostFrom === null || !entry.isSound) continue;
      this.#enqueue(entry.zone.bridge(entry.lostFrom, this.#options.clock.now()));
      this.#taken++;
      entry.lostFrom = null;
    }
  }

  /** Resolves once a condition holds. */
  #when(isSo: () => boolean): Promise<void> {
    if (isSo()) return Promise.resolve();
    return new Promise((resolve) => this.#awaiting.push({ isSo, resolve }));
  }

  #resolveAwaiting(): void {
    const over = this.#awaiting.filter(({ isSo }) => isSo());
    this.#awaiting = this.#awaiting.filter((one) => !over.includes(one));
    for (const { resolve } of over) resolve();
  }

  #noteRecorded(batches: number): void {
    this.#recorded += batches;
    this.#resolveAwaiting();
  }

  #report(message: string): void {
    this.#observers.report({ kind: 'log', message });
  }
}
