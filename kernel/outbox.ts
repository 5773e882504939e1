import { type EventBatch, lackingOf, lastSeqOf, SequenceGap, TooLarge } from './batch.ts';
import { type Refused, refused, type ZoneAddress } from './command.ts';
import { ANSWER_MS_MAX, messageOf, retryDelayMs, within } from './deadline.ts';
import { DurableWaiters, OUTCOME_UNKNOWN } from './durable-waiters.ts';
import { type Flight, newFlight, UndroppedBatches } from './flight.ts';
import { type HostParts, hasLease } from './host-parts.ts';
import { LostRanges } from './lost-ranges.ts';
import type { LogPosition, ShardWriter, Spool } from './ports.ts';
import { Progress } from './progress.ts';
import type { ZoneEntry, ZoneOutbox } from './zone-entry.ts';

/** Events in one append from memory: large enough that grouping pays, small enough that an append takes milliseconds. */
const GROUP_EVENTS_MAX = 4_096;
/** Events in one append from the spool: fewer, because the read from disk blocks the thread. */
const SPOOLED_EVENTS_MAX = 512;
/** Events of all shards that wait in memory for a slow log; beyond it, those of the shard go to the spool. About 50 MB of trades. */
export const MEMORY_EVENTS_MAX = 200_000;
/** Delay before the first retry of a failed spool, in ms. It doubles with each failure. */
const RETRY_FIRST_MS = 100;
/** Time until a state that was too large for the log is tried again, ms. */
const BRIDGE_AGAIN_MS = 60_000;

type Parts = Pick<HostParts, 'options' | 'entries' | 'observers'> & {
  /** Events of all outboxes of the host that wait in memory. */
  readonly memory: { events: number };
  /** Called when an append failed: what the log has is not known. */
  readonly onUnknown: (message: string, error: unknown) => void;
  /** Called when an append succeeded. */
  readonly onDurable: () => void;
};

/**
 * Sends the decided events of a shard to the log, in order. Events decided while as many appends as allowed are in progress form the next one (group
 * commit without a timer). Without a writer, or when the log is too slow, all events go through the spool until the spool is drained. When the spool is
 * full or fails too, events are lost: one range per zone. As soon as possible, the log gets a batch for each lost range, with the zone’s state after it.
 */
export class Outbox implements ZoneOutbox {
  readonly #parts: Parts;
  readonly #memoryEventsMax: number;
  #writer: ShardWriter | null = null;
  #spool: Spool | null = null;
  #queue: EventBatch[] = [];
  #queuedEvents = 0;
  /** Appends in progress, oldest first. */
  #flights: Flight[] = [];
  /** Appends without an outcome, also those whose batches went to the spool since. */
  #pending = 0;
  /** Whether all events go through the spool. Then the queue in memory is empty. */
  #spooling = false;
  /** Consecutive failures of the spool. */
  #attempts = 0;
  #cancelRetry: (() => void) | null = null;
  readonly #undropped = new UndroppedBatches();
  #isEnded = false;
  readonly #losses = new LostRanges();
  readonly #waiters = new DurableWaiters();
  readonly #progress = new Progress();
  #lostEvents = 0;
  #appendedEvents = 0;
  #failures = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#memoryEventsMax = parts.options.outboxMemoryEventsMax ?? MEMORY_EVENTS_MAX;
  }

  /** Continues with a writer. What the log lacks is on the spool. */
  attach(writer: ShardWriter, spool: Spool): void {
    this.#writer = writer;
    this.#spool = spool;
    this.#spooling ||= spool.batches > 0;
    this.#pump();
  }

  /** The writer has ended: all events go to the spool until there is another. */
  detach(): void {
    this.#failures++;
    this.#writer = null;
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#leaveMemory();
  }

  /** Takes decided batches. Never waits and never throws. */
  push(batches: readonly EventBatch[]): void {
    this.#progress.take(batches.length);
    if (this.#isEnded) return this.#progress.record(batches.length);
    if (this.#spooling) this.#spill(batches);
    else this.#enqueueAll(batches);
    if (this.#queuedEvents > 0 && this.#parts.memory.events > this.#memoryEventsMax) {
      this.#report('the log is slower than the zones decide, so events go to the spool; check the disk of the log');
      this.#leaveMemory();
    }
    this.#pump();
  }

  /** Whether events go straight to the log. False while they go through the spool: the log is unavailable or too slow. */
  get isFlowing(): boolean {
    return !this.#spooling;
  }

  /** Whether the new events of a zone go straight to the log. */
  records(zone: ZoneAddress): boolean {
    return !this.#spooling && !this.#losses.has(zone);
  }

  /** Whether a durable reply is possible for a zone now: no lost range waits for the log, and the spool has room. */
  promises(zone: ZoneAddress): boolean {
    const { spools } = this.#parts.options;
    return !this.#losses.has(zone) && spools.bytes < spools.bytesMax;
  }

  /** Calls `done` with null when the log has the zone’s events up to `seq`, or with a refusal when that never happens or is not known. */
  whenDurable(zone: ZoneAddress, seq: number, done: (refusal: Refused | null) => void): void {
    if (this.#isEnded) done(OUTCOME_UNKNOWN);
    else if (seq <= (this.#parts.entries.get(zone)?.durableSeq ?? 0)) done(null);
    else this.#waiters.add(zone, seq, done);
  }

  /** All batches of a zone that the log may lack, oldest first. Reads the disk. @throws when the spool cannot be read */
  unrecorded(zone: ZoneAddress): EventBatch[] {
    return [...(this.#spool?.ofZone(zone) ?? []), ...this.#inMemory.filter((batch) => batch.zone === zone)];
  }

  /** Last seq of the lost range of a zone that waits for the log; undefined without one. */
  lostUpTo(zone: ZoneAddress): number | undefined {
    return this.#losses.upTo(zone);
  }

  /** Resolves when all events decided so far are in the log, on the spool, or known to be lost. */
  drained(): Promise<void> {
    return this.#progress.drained();
  }

  /** Resolves when events go straight to the log, or at the end. */
  flowing(): Promise<void> {
    return this.#progress.until(() => !this.#spooling || this.#isEnded);
  }

  /** Ends for ever. The spool gets the events in memory. Durable replies that still wait get `OUTCOME_UNKNOWN`. */
  end(): void {
    if (this.#isEnded) return;
    this.#leaveMemory();
    this.#isEnded = true;
    this.#writer = null;
    this.#cancelRetry?.();
    this.#parts.memory.events -= this.#queuedEvents;
    this.#queuedEvents = 0;
    this.#progress.recordAll();
    this.#waiters.settleAll(OUTCOME_UNKNOWN);
  }

  stats() {
    return {
      waitingEvents: this.#queuedEvents,
      spooledBatches: this.#spool?.batches ?? 0,
      lostEvents: this.#lostEvents,
      appendedEvents: this.#appendedEvents,
      failures: this.#failures,
    };
  }

  /** Queues a batch for the lost range of a zone, if there is one: it records the range and the state after it. */
  bridge(entry: ZoneEntry): void {
    if (!this.#spooling) this.#bridge(entry);
    this.#pump();
  }

  #bridge(entry: ZoneEntry): void {
    const { zone } = entry;
    // A zone that is not sound is bridged when it is active again.
    if (!entry.isSound || !this.#writer) return;
    const loss = this.#losses.take(zone.address);
    if (!loss) return;
    // The log has a part of them after all, if their appends had an unknown outcome.
    const firstSeq = Math.max(loss.firstSeq, this.#writer.headOf(zone.address) + 1);
    if (firstSeq > loss.lastSeq) return;
    const { clock } = this.#parts.options;
    this.#progress.take(1);
    this.#enqueue(zone.bridge(firstSeq, zone.time.at(clock.now(), clock.elapsed())));
  }

  /** Starts appends, as many as may be in progress. One from the spool waits for all before it: then it is known what the log has. */
  #pump(): void {
    const { inFlightMax } = this.#parts.options.log;
    while (this.#writer && !this.#cancelRetry && (this.#spooling ? this.#pending === 0 : this.#flights.length < inFlightMax)) {
      let flight: Flight | null;
      try {
        flight = this.#nextFlight();
      } catch (error) {
        return this.#retryLater(`the spool cannot be read: ${messageOf(error)}`);
      }
      if (!flight) return;
      try {
        this.#send(flight, this.#writer);
      } catch (error) {
        return this.#parts.onUnknown(`the log cannot be read: ${messageOf(error)}`, error);
      }
    }
  }

  #send(flight: Flight, writer: ShardWriter): void {
    this.#flights.push(flight);
    const lacking = lackingOf(flight.batches, (zone) => writer.headOf(zone));
    this.#pending++;
    const append = lacking.length > 0 ? writer.append(lacking) : Promise.resolve(null);
    const done = within(this.#parts.options.clock, ANSWER_MS_MAX, 'the log', append).then(
      (position) => {
        this.#pending--;
        Object.assign(flight, { isDurable: true, position });
        this.#land();
      },
      (error) => {
        this.#pending--;
        // An append before it failed, and this one went to the spool with it.
        if (this.#flights.includes(flight)) this.#failed(flight, error);
      },
    );
    void done.then(() => this.#pump());
  }

  #failed(flight: Flight, error: unknown): void {
    // A log that is ahead of the batch has more than its writer has told.
    const isGap = error instanceof SequenceGap && error.due <= error.came;
    if (!isGap && !(error instanceof TooLarge)) return this.#parts.onUnknown(`the append to the log failed: ${messageOf(error)}`, error);
    this.#leaveMemory();
    if (error instanceof TooLarge) return this.#giveUp(flight.batches, error);
    if (!flight.spooled) return;
    this.#losses.addGap(error.zone, error.due);
    this.#report(`spooled batches of ${error.zone} do not follow its log and are given up, see the spool: ${error.message}`);
  }

  /** Gives up a batch that the log never takes. If it has a state in place of lost events, that is tried again later. */
  #giveUp(batches: readonly EventBatch[], { zone, firstSeq, message }: TooLarge): void {
    this.#losses.addGap(zone, firstSeq);
    this.#report(`${message}; it is given up, see the spool`);
    if (!batches.some((batch) => batch.zone === zone && batch.firstSeq === firstSeq && batch.loss)) return;
    this.#losses.hold(zone);
    this.#parts.options.clock.after(BRIDGE_AGAIN_MS, () => {
      this.#losses.free(zone);
      const entry = this.#parts.entries.get(zone);
      if (entry && !this.#isEnded) this.bridge(entry);
    });
  }

  /** Handles finished appends, in the order in which they started. */
  #land(): void {
    if (this.#isEnded) return;
    for (let flight = this.#flights[0]; flight?.isDurable; flight = this.#flights[0]) {
      this.#flights.shift();
      this.#attempts = 0;
      this.#parts.onDurable();
      const landed = this.#undropped.newOf(flight.batches);
      if (flight.spooled) this.#dropSpooled(flight.batches);
      else this.#progress.record(flight.batches.length);
      for (const batch of landed) this.#landed(batch, flight.position);
    }
  }

  #landed(batch: EventBatch, position: LogPosition | null): void {
    const { zone } = batch;
    const seq = lastSeqOf(batch);
    const entry = this.#parts.entries.get(zone);
    this.#appendedEvents += batch.events.length;
    if (entry) {
      entry.durableSeq = Math.max(seq, entry.durableSeq);
      entry.zone.position = position ?? entry.zone.position;
    }
    this.#parts.observers.publish(entry, ({ onDurable }) => onDurable?.(batch));
    // Without a lease another host may own the zone, and may have replied otherwise.
    this.#waiters.settle(zone, seq, hasLease(this.#parts.options) ? null : OUTCOME_UNKNOWN);
  }

  /** Batches that the spool cannot drop are read again; the log is known to have them. */
  #dropSpooled(batches: readonly EventBatch[]): void {
    try {
      this.#spool?.drop(batches.length);
    } catch (error) {
      this.#undropped.add(batches);
      this.#retryLater(`the spool cannot drop recorded batches: ${messageOf(error)}`);
    }
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

  /** The next append; null without events. Leaves the spooling mode when the spool is drained. @throws when the spool fails */
  #nextFlight(): Flight | null {
    if (this.#spooling) {
      for (let spooled = this.#oldestSpooled(); spooled.length > 0; spooled = this.#oldestSpooled()) {
        if (!this.#losses.isBehindGap(spooled[0] as EventBatch)) return newFlight(spooled, true);
        this.#spool?.giveUp(spooled.length);
        for (const batch of spooled) this.#lose(batch, this.#losses.gapOf(batch.zone));
      }
      this.#losses.clearGaps();
      this.#undropped.clear();
      this.#spooling = false;
      for (const zone of this.#losses.zones) {
        const entry = this.#parts.entries.get(zone);
        if (entry) this.#bridge(entry);
      }
      this.#progress.notify();
    }
    let events = 0;
    let count = 0;
    while (count < this.#queue.length && events < GROUP_EVENTS_MAX) events += (this.#queue[count++] as EventBatch).events.length;
    this.#queuedEvents -= events;
    this.#parts.memory.events -= events;
    return count > 0 ? newFlight(this.#queue.splice(0, count), false) : null;
  }

  /** The oldest spooled batches, either all after a gap, or all without one. */
  #oldestSpooled(): EventBatch[] {
    const oldest = this.#spool?.oldest(SPOOLED_EVENTS_MAX) ?? [];
    const isLost = oldest[0] && this.#losses.isBehindGap(oldest[0]);
    const end = oldest.findIndex((batch) => this.#losses.isBehindGap(batch) !== isLost);
    return end < 0 ? oldest : oldest.slice(0, end);
  }

  /** Queues batches. Loses those after a lost range of their zone that could not be replaced. */
  #enqueueAll(batches: readonly EventBatch[]): void {
    for (const batch of batches) {
      if (!this.#losses.has(batch.zone)) this.#enqueue(batch);
      else {
        this.#lose(batch);
        this.#progress.record(1);
      }
    }
  }

  #enqueue(batch: EventBatch): void {
    this.#queue.push(batch);
    this.#queuedEvents += batch.events.length;
    this.#parts.memory.events += batch.events.length;
  }

  /** Moves all batches in memory to the spool, in order, those of appends in progress included. */
  #leaveMemory(): void {
    const batches = this.#inMemory;
    const sent = new Set(this.#flights.flatMap((flight) => flight.batches));
    this.#spooling = true;
    this.#flights = [];
    this.#queue = [];
    this.#parts.memory.events -= this.#queuedEvents;
    this.#queuedEvents = 0;
    this.#spill(batches, sent);
  }

  /** Batches that the log may lack and that are not on the spool, those of appends in progress included. */
  get #inMemory(): EventBatch[] {
    return [...this.#flights.flatMap(({ batches, spooled }) => (spooled ? [] : batches)), ...this.#queue];
  }

  /** Adds batches to the spool. Loses those without room, and those after a lost range of their zone. @param sent those that the log may have */
  #spill(batches: readonly EventBatch[], sent: ReadonlySet<EventBatch> = new Set()): void {
    const whole = batches.filter(({ zone }) => !this.#losses.has(zone));
    let kept = new Set<EventBatch>();
    try {
      kept = new Set(whole.slice(0, whole.length > 0 ? (this.#spool?.add(whole) ?? 0) : 0));
    } catch (error) {
      this.#report(`the spool cannot be written: ${messageOf(error)}`);
    }
    for (const batch of batches) if (!kept.has(batch)) this.#lose(batch, batch.firstSeq, sent.has(batch));
    this.#progress.record(batches.length);
  }

  /**
   * Counts a batch as lost and refuses its durable replies.
   * @param firstSeq first lost seq, when it is before the batch
   * @param mayBeRecorded whether the log may have it all the same
   */
  #lose(batch: EventBatch, firstSeq = batch.firstSeq, mayBeRecorded = false): void {
    const { zone } = batch;
    const seq = lastSeqOf(batch);
    if (!this.#losses.has(zone))
      this.#report(
        `events of ${zone} from seq ${firstSeq} are lost: the spool is full or failed, or has batches that the log does not take`,
      );
    this.#losses.add(zone, firstSeq, seq);
    this.#lostEvents += batch.events.length;
    const refusal = mayBeRecorded ? OUTCOME_UNKNOWN : refused('NOT_RECORDED', `Events up to seq ${seq} of ${zone} are lost.`);
    this.#waiters.settle(zone, seq, refusal, firstSeq);
  }

  #report(message: string): void {
    this.#parts.observers.report({ kind: 'log', message });
  }
}
