import { OffsetsChanged, type ReadRange } from '@millrace/base/offsets';
import { type Clock, type EventBatch, messageOf, within } from '@millrace/kernel';
import { Backoff } from '@millrace/resilience';
import { CaughtUpWaiters } from './caught-up.ts';
import { storeDeadLetter } from './dead-letters.ts';
import {
  type ConsumerGap,
  type ConsumerStats,
  type EventLog,
  type KnownGroup,
  type LoggedBatch,
  type LogRead,
  OffsetOutOfRange,
} from './event-log.ts';
import { lagOf, READ_MS_MAX, readEnds, storedOffsets, unknownEnds } from './offsets.ts';
import { Pause } from './pause.ts';
import { CannotApply, type Projection } from './projection.ts';
import { Replays } from './replays.ts';

/** Maximum number of events per read, over all partitions: enough for columnar writes, few enough to keep the event loop responsive. */
const READ_EVENTS_MAX = 8_192;
/** Time that a group without lag collects events before it reads them, ms, unless a caller waits: a write of one event costs nearly as much as of a thousand. */
const GATHER_MS = 100;
/** Interval at which the stored offsets are checked, ms: a store that lost its newest writes in a crash gets them again, also without new events. */
const CHECK_EVERY_MS = 2_000;
const RETRY_FIRST_MS = 50;
const RETRY_MOST_MS = 5_000;
/** Interval at which skipped offsets are saved to the table, and the group’s offsets to the log, ms. */
const NOTED_EVERY_MS = 1_000;

/** Reads the log for one projection until it is stopped. New events of all partitions are applied together, because the cost of a write hardly depends on its size. */
export class ConsumerGroup {
  readonly #log: EventLog;
  readonly #projection: Projection;
  readonly #clock: Clock;
  readonly #onFailure: (message: string) => void;
  readonly #reasonOf: (error: unknown) => string;
  #offsets: number[] = [];
  /** What the log knew of this group at the start, with the gaps since. */
  #known: Pick<KnownGroup, 'offsets' | 'gaps'> = { offsets: [], gaps: [] };
  /** Stored offsets; behind `#offsets` where events were skipped. */
  #stored: number[] = [];
  /** Partitions of which it is not known whether the store is ahead. They are not read. */
  #unknown: ReadonlySet<number> = new Set();
  /** Partition that the next read begins with. */
  #first = 0;
  #applied = 0;
  #deadLetters = 0;
  #failure: string | null = null;
  /** Reasons why the stored offsets could not be checked, and why the offsets could not be saved to the log. */
  #checkFailure: string | null = null;
  #noteFailure: string | null = null;
  #checkedAt = 0;
  #running: Promise<void> | null = null;
  #stopped = false;
  #wake: (() => void) | null = null;
  /** The wait of `#gather`, and before a retry. */
  readonly #pause: Pause;
  #unsubscribe: (() => void) | null = null;
  /** Offsets by partition up to which events were skipped, and that are not saved to the table yet. */
  readonly #skipped = new Map<number, number>();
  #notedAt = 0;
  /** By partition, the range that retention dropped before the group read it. */
  readonly #overtaken = new Map<number, ConsumerGap>();
  readonly #replays: Replays;
  readonly #awaiting = new CaughtUpWaiters();

  /** @param reasonOf gives the reason of an error without the written data, for the server log */
  constructor(
    log: EventLog,
    projection: Projection,
    clock: Clock,
    onFailure: (message: string) => void = () => {},
    reasonOf: (error: unknown) => string = messageOf,
  ) {
    this.#log = log;
    this.#projection = projection;
    this.#replays = new Replays(log, projection);
    this.#clock = clock;
    this.#pause = new Pause(clock);
    this.#onFailure = onFailure;
    this.#reasonOf = reasonOf;
  }

  /** Starts reading. Resolves when the stored offsets are read, which is tried until it succeeds, or when the group is stopped before. */
  start(): Promise<void> {
    this.#stopped = false;
    const begun = Promise.withResolvers<void>();
    this.#running = this.#retried(() => this.#begin())
      .then(() => begun.resolve())
      .then(() => this.#run());
    return begun.promise;
  }

  async #begin(): Promise<void> {
    // From now on retention waits for this group, whether its store can be read or not.
    const known = await this.#log.consumers.find(this.#projection.name);
    if (known) this.#known = known;
    else void this.#register();
    const { offsets: stored, unknown } = await storedOffsets(this.#projection, this.#log, this.#clock);
    this.#offsets = [...stored];
    this.#stored = stored;
    this.#unknown = new Set(unknown);
    this.#checkFailure = unknownEnds(this.#projection.name, unknown);
    this.#skipped.clear();
    this.#overtaken.clear();
    this.#checkedAt = this.#clock.elapsed();
    await this.#register();
    this.#unsubscribe = this.#log.onAppended(() => this.#wake?.());
  }

  /** Saves the group’s offsets to the log. If the log cannot be written now, they are saved later. */
  async #register(): Promise<void> {
    await this.#log.consumers
      .note(this.#projection.name, this.#offsets)
      .catch((error) => this.#onFailure(`${this.#projection.name} could not be registered with the log: ${this.#reasonOf(error)}`));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake?.();
    this.#pause.end();
    await this.#running;
    this.#unsubscribe?.();
    await this.#noteProgress().catch((error) =>
      this.#onFailure(`${this.#projection.name} could not store its offsets and will read events again: ${this.#reasonOf(error)}`),
    );
  }

  /**
   * Skips the events that retention dropped before the group read them. Records the gap first.
   * @returns the gaps; none when no events were dropped
   */
  async skipDropped(): Promise<ConsumerGap[]> {
    const gaps = [...this.#overtaken.values()].map((gap) => ({ ...gap, at: this.#clock.now() }));
    const { gaps: known } = this.#known;
    for (const gap of gaps) {
      // A skip that failed has recorded it.
      if (known.some(({ partition, from, to }) => partition === gap.partition && from === gap.from && to === gap.to)) continue;
      await this.#log.consumers.recordGap(this.#projection.name, gap);
      this.#known = { ...this.#known, gaps: [...this.#known.gaps, gap] };
      this.#onFailure(`${this.#projection.name} skipped offsets ${gap.from} to ${gap.to - 1} of partition ${gap.partition}`);
    }
    const read = gaps.map(({ partition, to }) => this.#rangeTo(partition, to));
    await this.#projection.apply([], read);
    this.#noteStored(read);
    for (const { partition, to } of gaps) {
      this.#offsets[partition] = to;
      this.#overtaken.delete(partition);
    }
    if (gaps.length > 0) this.#failure = null;
    this.#wake?.();
    this.#pause.end();
    return gaps;
  }

  /** Resolves when all events that the log has now are applied; at once while the group is stopped, by a caller or by dropped events. */
  async caughtUp(): Promise<void> {
    const ends = await readEnds(this.#log, this.#clock, () => this.#stopped);
    if (!ends || this.#stopped || this.#hasStopped() || this.#hasReached(ends)) return;
    const reached = this.#awaiting.add(ends);
    this.#wake?.();
    this.#pause.end();
    return reached;
  }

  /** Applies a dead letter again. See `Replays`. */
  replay(id: number): Promise<boolean> {
    return this.#replays.replay(id);
  }

  stats(): ConsumerStats {
    const offsets = this.#offsets.length > 0 ? this.#offsets : this.#known.offsets;
    return {
      group: this.#projection.name,
      lag: lagOf(this.#log, offsets),
      applied: this.#applied,
      deadLetters: this.#deadLetters,
      failure: this.#failure ?? this.#checkFailure ?? this.#noteFailure,
      offsets: [...offsets],
      overtaken: [...this.#overtaken.values()],
      gaps: this.#known.gaps,
    };
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const events = await this.#retried(() => this.#readOnce());
      if (events === null) break;
      if (this.#clock.elapsed() - this.#notedAt > NOTED_EVERY_MS) {
        this.#notedAt = this.#clock.elapsed();
        this.#noteFailure = await this.#noteProgress().then(() => null, this.#reasonOf);
      }
      this.#awaiting.resolve(this.#hasReached);
      if (this.#clock.elapsed() - this.#checkedAt >= CHECK_EVERY_MS) await this.#check();
      else if (events === 0) await this.#idle(woken);
      if (events < READ_EVENTS_MAX / 2) await this.#gather();
    }
    this.#awaiting.resolve(() => true);
  }

  /** Waits for new events, or for the next check of the stored offsets. */
  async #idle(woken: Promise<void>): Promise<void> {
    const cancel = this.#clock.after(CHECK_EVERY_MS, () => this.#wake?.());
    await woken;
    cancel();
  }

  /** Waits for more events, unless a caller waits for `caughtUp`. */
  async #gather(): Promise<void> {
    if (this.#stopped || !this.#awaiting.isEmpty) return;
    await this.#pause.wait(GATHER_MS);
  }

  readonly #hasReached = (ends: readonly number[]): boolean => ends.every((end, partition) => (this.#offsets[partition] ?? 0) >= end);

  /** Reads and applies new events. @returns number of events that were read */
  async #readOnce(): Promise<number> {
    const found: LoggedBatch[] = [];
    const read: ReadRange[] = [];
    const failures: Error[] = [];
    let events = 0;
    if (this.#hasStopped()) return 0;
    if (this.#overtaken.size > 0) await this.skipDropped();
    for (let turn = 0; turn < this.#log.partitions && events < READ_EVENTS_MAX && !this.#stopped; turn++) {
      const partition = this.#first;
      this.#first = (this.#first + 1) % this.#log.partitions;
      if (this.#unknown.has(partition)) continue;
      const offset = this.#offsets[partition] ?? 0;
      const { batches, next, failure } = await this.#read(partition, offset, READ_EVENTS_MAX - events);
      if (failure) failures.push(failure);
      if (next === offset) continue;
      // Offsets of Kafka count records.
      events += batches.reduce((sum, { batch }) => sum + batch.events.length, next - offset - batches.length);
      const wanted = this.#projection.wants ? batches.filter(({ batch }) => this.#projection.wants?.(batch.zone)) : batches;
      if (wanted.length > 0) {
        for (const batch of wanted) found.push(batch);
        read.push(this.#rangeTo(partition, next));
      } else {
        this.#skipped.set(partition, next);
        this.#advance(partition, next);
      }
    }
    if (read.length > 0) {
      if (!(await this.#applyAll(found, read))) return 0;
      this.#noteStored(read);
      for (const { partition, next } of read) this.#advance(partition, next);
    }
    // A partition that cannot be read does not hold up the others.
    if (failures[0]) throw failures[0];
    return events;
  }

  #rangeTo(partition: number, next: number): ReadRange {
    return { partition, from: this.#stored[partition] ?? 0, next };
  }

  #noteStored(read: readonly ReadRange[]): void {
    for (const { partition, next } of read) {
      this.#stored[partition] = next;
      if ((this.#skipped.get(partition) ?? 0) <= next) this.#skipped.delete(partition);
    }
  }

  /** Checks the stored offsets. If they differ from the expected ones, continues from them. */
  async #check(): Promise<void> {
    try {
      await this.#goOnFromStored();
      this.#checkFailure = unknownEnds(this.#projection.name, [...this.#unknown]);
    } catch (error) {
      this.#checkFailure = this.#reasonOf(error);
    }
    this.#checkedAt = this.#clock.elapsed();
  }

  async #goOnFromStored(): Promise<void> {
    const { offsets: stored, unknown } = await storedOffsets(this.#projection, this.#log, this.#clock);
    // Up to where the group has read, the log has the events.
    this.#unknown = new Set(unknown.filter((one) => this.#unknown.has(one) || stored[one] !== this.#stored[one]));
    for (const [partition, next] of stored.entries()) {
      const believed = this.#stored[partition] ?? 0;
      if (next === believed) continue;
      this.#onFailure(
        next < believed
          ? `the store of ${this.#projection.name} has lost partition ${partition} from offset ${next} to ${believed - 1}; it is read again`
          : `the store of ${this.#projection.name} has partition ${partition} up to offset ${next - 1}, not ${believed - 1}`,
      );
      this.#stored[partition] = next;
      this.#offsets[partition] = next;
      this.#skipped.delete(partition);
      this.#overtaken.delete(partition);
    }
  }

  #advance(partition: number, next: number): void {
    this.#applied += next - (this.#offsets[partition] ?? 0);
    this.#offsets[partition] = next;
  }

  /** Reads the log from an offset. Empty when retention has dropped what is there, or it cannot be read. */
  async #read(partition: number, offset: number, eventsMax: number): Promise<LogRead & { readonly failure?: Error }> {
    try {
      return await within(this.#clock, READ_MS_MAX, 'the log', this.#log.readFrom(partition, offset, eventsMax));
    } catch (error) {
      if (!(error instanceof OffsetOutOfRange)) return { batches: [], next: offset, failure: error as Error };
      await this.#dropped(error);
      return { batches: [], next: offset };
    }
  }

  /** Stops the group at a gap until an operator skips it, unless its projection skips gaps by itself. */
  async #dropped({ partition, offset, start, message }: OffsetOutOfRange): Promise<void> {
    this.#overtaken.set(partition, { partition, from: offset, to: start, at: this.#clock.now() });
    this.#failure = message;
    this.#onFailure(`${this.#projection.name} has stopped: ${message}`);
    if (!this.#hasStopped()) return void (await this.skipDropped());
    this.#awaiting.resolve(() => true);
  }

  #hasStopped(): boolean {
    return this.#overtaken.size > 0 && this.#projection.onOutOfRange !== 'skip';
  }

  #note(message: string, error: unknown): void {
    this.#failure = this.#reasonOf(error);
    this.#onFailure(`${message}: ${this.#failure}`);
  }

  /** Repeats work until it succeeds. @returns its result, or null when the group is stopped before */
  async #retried<Result>(work: () => Promise<Result>): Promise<Result | null> {
    const backoff = new Backoff(RETRY_FIRST_MS, RETRY_MOST_MS, 'none');
    while (!this.#stopped) {
      try {
        const result = await work();
        if (this.#overtaken.size === 0) this.#failure = null;
        return result;
      } catch (error) {
        const waitMs = backoff.next();
        this.#note(`${this.#projection.name} failed, trying again in ${waitMs} ms`, error);
        if (!this.#stopped) await this.#pause.wait(waitMs);
      }
    }
    return null;
  }

  /** Saves skipped offsets to the table, and the group’s offsets to the log. */
  async #noteProgress(): Promise<void> {
    // Before the stored offsets are read, those in the log are right.
    if (this.#offsets.length === 0) return;
    if (this.#skipped.size > 0) await this.#reportSkipped();
    await this.#log.consumers.note(this.#projection.name, this.#offsets);
  }

  async #reportSkipped(): Promise<void> {
    const skipped = [...this.#skipped].map(([partition, next]) => this.#rangeTo(partition, next));
    await this.#projection.apply([], skipped);
    this.#noteStored(skipped);
  }

  /** Applies batches. @returns false when the group was stopped before, or the stored offsets have changed */
  async #applyAll(found: readonly LoggedBatch[], read: readonly ReadRange[]): Promise<boolean> {
    let left = found;
    while (!this.#stopped) {
      try {
        await this.#projection.apply(
          left.map(({ batch }) => batch),
          read,
        );
        this.#failure = null;
        return true;
      } catch (error) {
        if (error instanceof OffsetsChanged && (await this.#isMoved())) return false;
        const failed = error instanceof CannotApply ? left.find(({ batch }) => batch === error.batch) : undefined;
        if (!(error instanceof CannotApply) || !failed) throw error;
        const { isNew, rest } = await storeDeadLetter(this.#log.deadLetters, this.#projection.name, failed, error, this.#clock.now());
        if (isNew) this.#noteDeadLetter(failed.batch, error);
        left = left.flatMap((one) => (one === failed ? rest : [one]));
      }
    }
    return false;
  }

  /** Reads the stored offsets again. @returns false when that fails; then the write is retried */
  async #isMoved(): Promise<boolean> {
    await this.#check();
    return this.#checkFailure === null;
  }

  #noteDeadLetter({ zone, firstSeq }: EventBatch, { message, only }: CannotApply): void {
    this.#deadLetters++;
    this.#onFailure(`${this.#projection.name} stored ${zone} seq ${firstSeq + (only?.index ?? 0)} as a dead letter: ${message}`);
  }
}
