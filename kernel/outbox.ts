import { type EventBatch, lastSeqOf, SequenceGap, writerOf } from './batch.ts';
import { type Refused, refused, type ZoneAddress } from './command.ts';
import { ANSWER_MS_MAX, messageOf, retryDelayMs, within } from './deadline.ts';
import { DurableWaiters } from './durable-waiters.ts';
import type { HostParts } from './host-parts.ts';
import type { Appended } from './ports.ts';

/** Events in one append from memory: large enough that grouping pays, small enough that an append takes milliseconds. */
const GROUP_EVENTS_MAX = 4_096;
/** Events in one append from the spool: fewer, because the read from disk blocks the thread. */
const SPOOLED_EVENTS_MAX = 512;
/** Events that wait in memory for a slow log; beyond it, all go to the spool. About 50 MB of trades. */
const MEMORY_EVENTS_MAX = 200_000;
/** Appends that the log has taken but not yet made durable. More than accumulate with a slow disk. */
const FLIGHTS_MAX = 64;
/** Delay before the first retry of an unavailable log, in ms. It doubles with each failure. */
const RETRY_FIRST_MS = 100;

/** An append in progress. */
interface Flight {
  readonly batches: readonly EventBatch[];
  readonly spooled: boolean;
  /** Whether the next append may start. From the spool only when this one is durable: then the spool drops its batches. */
  taken: boolean;
  /** The outcome of each batch; null until the append is durable. */
  appended: readonly Appended[] | null;
}

type Parts = Pick<HostParts, 'options' | 'entries' | 'observers' | 'onStale'>;

/**
 * Sends decided events to the log, in order. The log takes one append at a time; events decided meanwhile form the next (group
 * commit without a timer). When the log fails or is too slow, all events go through the spool until the spool is drained. When the
 * spool is full or fails too, events are lost: one range per zone. As soon as possible, the log gets a batch for each lost range,
 * with the zone’s state after it.
 */
export class Outbox {
  readonly #parts: Parts;
  #queue: EventBatch[] = [];
  #queuedEvents = 0;
  readonly #memoryEventsMax: number;
  /** Appends in progress, oldest first. */
  #flights: Flight[] = [];
  /** Whether all events go through the spool. Then the queue in memory is empty. */
  #spooling: boolean;
  /** Consecutive failures. */
  #attempts = 0;
  #cancelRetry: (() => void) | null = null;
  #closed = false;
  /** Zones with a gap in the spool, and the first missing seq. The log can no longer record the batches after the gap. */
  readonly #gaps = new Map<ZoneAddress, number>();
  readonly #waiters = new DurableWaiters();
  /** Batches taken so far, and how many of them are in the log, on the spool, or known to be lost. They are recorded in order. */
  #taken = 0;
  #recorded = 0;
  /** Resolves when batches are recorded, when the spool is drained, and at close. */
  #changed = Promise.withResolvers<void>();
  #lostEvents = 0;
  #appendedEvents = 0;
  #failures = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#memoryEventsMax = parts.options.outboxMemoryEventsMax ?? MEMORY_EVENTS_MAX;
    this.#spooling = parts.options.spool.batches > 0;
    // Batches of an earlier run are written even when no zone is opened here.
    parts.options.clock.soon(() => this.#pump());
  }

  /** Takes decided batches. Never waits and never throws. */
  push(batches: readonly EventBatch[]): void {
    this.#taken += batches.length;
    if (this.#spooling) this.#spill(batches);
    else for (const batch of batches) this.#enqueue(batch);
    if (this.#queuedEvents > this.#memoryEventsMax) {
      this.#report('the log is slower than the zones decide, so events go to the spool; check the disk of the log');
      this.#leaveMemory();
    }
    this.#pump();
  }

  /** Whether events go straight to the log. False while they go through the spool: the log is unavailable or too slow. */
  get isFlowing(): boolean {
    return !this.#spooling;
  }

  /** Whether a durable reply is possible for a zone now: no lost range waits for the log, and the spool has room. */
  promises(zone: ZoneAddress): boolean {
    return !this.#hasLoss(zone) && this.#parts.options.spool.bytes < this.#parts.options.spool.bytesMax;
  }

  /** Calls `done` with null when the log has the zone’s events up to `seq`, or with a refusal when that never happens. */
  whenDurable(zone: ZoneAddress, seq: number, done: (refusal: Refused | null) => void): void {
    if (seq <= (this.#parts.entries.get(zone)?.durableSeq ?? 0)) done(null);
    else this.#waiters.add(zone, seq, done);
  }

  /** All batches of a zone that the log may lack, oldest first. Reads the disk. @throws when the spool cannot be read */
  unrecorded(zone: ZoneAddress): EventBatch[] {
    return [...this.#parts.options.spool.ofZone(zone), ...this.#inMemory.filter((batch) => batch.zone === zone)];
  }

  /** Forgets the held batches of a zone: the log has them, or they do not follow the log and are lost. */
  forgetHeld(zone: ZoneAddress, areLost = false): void {
    this.#lostEvents += this.#parts.options.spool.forgetHeld(zone, areLost);
  }

  /** Number of events that the log may lack, without held batches. Reads nothing from disk. */
  unrecordedEvents(zone: ZoneAddress): number {
    return this.#inMemory.reduce((sum, one) => sum + (one.zone === zone ? one.events.length : 0), this.#parts.options.spool.eventsOf(zone));
  }

  /** Resolves when all events decided so far are in the log, on the spool, or known to be lost. */
  drained(): Promise<void> {
    const upTo = this.#taken;
    return this.#until(() => this.#recorded >= upTo);
  }

  /** Resolves when events go straight to the log, or when the outbox is closed. */
  flowing(): Promise<void> {
    return this.#until(() => !this.#spooling || this.#closed);
  }

  /**
   * Waits until all events are in the log, on the spool, or lost; then stops retries. Durable replies that still wait get
   * `OUTCOME_UNKNOWN`.
   */
  async close(): Promise<void> {
    await this.drained();
    this.#closed = true;
    this.#cancelRetry?.();
    this.#noteChange();
    this.#waiters.settleAll(refused('OUTCOME_UNKNOWN', 'Send the command again with the same id.'));
  }

  stats() {
    const { spool } = this.#parts.options;
    return {
      /** `flowing`: events go straight to the log. `spooling`: they go through the spool: the log is unavailable or too slow. */
      mode: this.#spooling ? ('spooling' as const) : ('flowing' as const),
      waitingEvents: this.#queuedEvents,
      waitingEventsMax: this.#memoryEventsMax,
      spooledBatches: spool.batches,
      spooledBytes: spool.bytes,
      spooledBytesMax: spool.bytesMax,
      heldBatches: spool.heldBatches,
      lostEvents: this.#lostEvents,
      appendedEvents: this.#appendedEvents,
      failures: this.#failures,
    };
  }

  /** Starts the next append, unless the log has not taken the last one yet: events decided meanwhile form the next append. */
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
    const { clock, log } = this.#parts.options;
    // If a failed append was written after all, the log recognizes the repeat.
    within(clock, ANSWER_MS_MAX, 'the log', log.append(flight.batches, onTaken)).then(
      (appended) => {
        flight.taken = true;
        flight.appended = appended;
        this.#land();
        this.#pump();
      },
      (error) => {
        // An append before it failed, and this one went to the spool with it.
        if (!this.#flights.includes(flight)) return;
        this.#leaveMemory();
        if (!flight.spooled || !(error instanceof SequenceGap) || this.#gaps.has(error.zone))
          return this.#retryLater(`the append to the log failed: ${messageOf(error)}`);
        this.#gaps.set(error.zone, error.due);
        this.#report(`spooled batches of ${error.zone} do not follow its log and are given up, see the spool: ${error.message}`);
        this.#pump();
      },
    );
  }

  /** Handles finished appends, in the order in which they started. */
  #land(): void {
    for (let flight = this.#flights[0]; flight?.appended; flight = this.#flights[0]) {
      this.#flights.shift();
      this.#attempts = 0;
      if (flight.spooled) this.#dropSpooled(flight.batches, flight.appended);
      else this.#noteRecorded(flight.batches.length);
      for (const [index, batch] of flight.batches.entries()) this.#landed(batch, flight.appended[index] ?? 'stale', flight.spooled);
    }
  }

  #landed(batch: EventBatch, outcome: Appended, isSpooled: boolean): void {
    const { zone } = batch;
    const seq = lastSeqOf(batch);
    const entry = this.#parts.entries.get(zone);
    if (outcome === 'stale') {
      // An owner of this host may write them again under its epoch.
      const code = isSpooled || (entry && entry.zone.epoch > writerOf(batch)) ? 'OUTCOME_UNKNOWN' : 'ZONE_STOPPED';
      this.#waiters.settle(zone, seq, refused(code, `${zone} has another owner now.`));
      if (entry?.zone.epoch === writerOf(batch)) this.#parts.onStale(entry);
      return;
    }
    this.#appendedEvents += batch.events.length;
    if (entry) {
      entry.durableSeq = Math.max(seq, entry.durableSeq);
      entry.zone.position = outcome.at;
    }
    this.#parts.observers.publish(entry, ({ onDurable }) => onDurable?.(batch));
    this.#waiters.settle(zone, seq, null);
  }

  /**
   * Holds batches that the log refused because their zone was claimed since: an earlier claim of this host may have taken effect
   * without a recovery, and then only this host has them. Batches that the spool cannot drop are sent again; the log recognizes repeats.
   */
  #dropSpooled(batches: readonly EventBatch[], appended: readonly Appended[]): void {
    const isHeld = (index: number) => appended[index] === 'stale' && this.#mayBeOurs(batches[index] as EventBatch);
    try {
      this.#lostEvents += this.#parts.options.spool.drop(batches.length, isHeld);
    } catch (error) {
      this.#retryLater(`the spool cannot drop recorded batches: ${messageOf(error)}`);
    }
  }

  #mayBeOurs(batch: EventBatch): boolean {
    const entry = this.#parts.entries.get(batch.zone);
    return !entry || entry.takenOver !== null || entry.zone.epoch <= writerOf(batch);
  }

  #retryLater(failure: string): void {
    this.#failures++;
    const ms = retryDelayMs(++this.#attempts, RETRY_FIRST_MS);
    this.#report(`${failure}; retry in ${ms} ms`);
    this.#cancelRetry = this.#parts.options.clock.after(ms, () => {
      this.#cancelRetry = null;
      this.#pump();
    });
  }

  /** Batches of the next append. Leaves the spooling mode when the spool is drained. @throws when the spool fails */
  #nextGroup(): Pick<Flight, 'batches' | 'spooled'> {
    if (this.#spooling) {
      for (let spooled = this.#oldestSpooled(); spooled.length > 0; spooled = this.#oldestSpooled()) {
        if (!this.#isBehindGap(spooled[0] as EventBatch)) return { batches: spooled, spooled: true };
        this.#parts.options.spool.giveUp(spooled.length);
        for (const batch of spooled) this.#lose(batch, this.#gaps.get(batch.zone));
      }
      this.#gaps.clear();
      this.#spooling = false;
      this.#bridgeLosses();
      this.#noteChange();
    }
    let events = 0;
    let count = 0;
    while (count < this.#queue.length && events < GROUP_EVENTS_MAX) events += (this.#queue[count++] as EventBatch).events.length;
    this.#queuedEvents -= events;
    return { batches: this.#queue.splice(0, count), spooled: false };
  }

  /** The oldest spooled batches, either all after a gap, or all without one. */
  #oldestSpooled(): EventBatch[] {
    const oldest = this.#parts.options.spool.oldest(SPOOLED_EVENTS_MAX);
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

  /** Moves all batches in memory to the spool, in order. Appends in progress move too: the log recognizes repeats. */
  #leaveMemory(): void {
    const batches = this.#inMemory;
    this.#spooling = true;
    this.#flights = [];
    this.#queue = [];
    this.#queuedEvents = 0;
    this.#spill(batches);
  }

  /** Batches that the log may lack and that are not on the spool, those of appends in progress included. */
  get #inMemory(): EventBatch[] {
    return [...this.#flights.flatMap(({ batches, spooled }) => (spooled ? [] : batches)), ...this.#queue];
  }

  #hasLoss(zone: ZoneAddress): boolean {
    return (this.#parts.entries.get(zone)?.lostFrom ?? null) !== null;
  }

  /** Adds batches to the spool. Loses those without room, and those after a lost range of their zone. */
  #spill(batches: readonly EventBatch[]): void {
    const whole = batches.filter(({ zone }) => !this.#hasLoss(zone));
    let kept = new Set<EventBatch>();
    try {
      kept = new Set(whole.slice(0, this.#parts.options.spool.add(whole)));
    } catch (error) {
      this.#report(`the spool cannot be written: ${messageOf(error)}`);
    }
    for (const batch of batches) if (!kept.has(batch)) this.#lose(batch);
    this.#noteRecorded(batches.length);
  }

  /** Counts a batch as lost and refuses its durable replies. @param firstSeq first lost seq, when it is before the batch */
  #lose(batch: EventBatch, firstSeq = batch.firstSeq): void {
    const { zone } = batch;
    const entry = this.#parts.entries.get(zone);
    // Events of an earlier epoch are not part of the zone’s present state, so they leave no lost range in it.
    if (entry && entry.lostFrom === null && entry.zone.epoch === writerOf(batch)) {
      entry.lostFrom = firstSeq;
      this.#report(`events of ${zone} from seq ${firstSeq} are lost: the spool is full, failed or has a gap`);
    }
    this.#lostEvents += batch.events.length;
    const seq = lastSeqOf(batch);
    this.#waiters.settle(zone, seq, refused('NOT_RECORDED', `Events up to seq ${seq} of ${zone} are lost.`));
  }

  /** Queues a batch for each zone with a lost range: it records the range and the state after it. */
  #bridgeLosses(): void {
    for (const entry of this.#parts.entries.values()) {
      // A zone that is not sound recovers from its record under a new epoch. Until then it decides nothing.
      if (entry.lostFrom === null || !entry.isSound) continue;
      this.#enqueue(entry.zone.bridge(entry.lostFrom, this.#parts.options.clock.now()));
      this.#taken++;
      entry.lostFrom = null;
    }
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#changed.promise;
  }

  #noteChange(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #noteRecorded(batches: number): void {
    this.#recorded += batches;
    this.#noteChange();
  }

  #report(message: string): void {
    this.#parts.observers.report({ kind: 'log', message });
  }
}
