import { OffsetsChanged, type ReadRange } from '@millrace/base/offsets';
import { type Clock, type EventBatch, messageOf, within } from '@millrace/kernel';
import { Backoff } from '@millrace/resilience';
import { CaughtUpWaiters } from './caught-up.ts';
import { storeDeadLetter } from './dead-letters.ts';
import { DroppedRanges } from './dropped-ranges.ts';
import { type ConsumerGap, type ConsumerStats, type EventLog, type LoggedBatch, type LogRead, OffsetOutOfRange } from './event-log.ts';
import { GroupPositions } from './group-positions.ts';
import { soleMembership } from './membership.ts';
import { lagOf, READ_MS_MAX, readEnds, storedOffsets, unknownEnds } from './offsets.ts';
import { OwnMembership } from './own-membership.ts';
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

/**
 * Reads the log for one projection until it is stopped: the partitions that are assigned to this process. New events of all of them are applied together,
 * because the cost of a write hardly depends on its size.
 */
export class ConsumerGroup {
  readonly #log: EventLog;
  readonly #projection: Projection;
  readonly #clock: Clock;
  readonly #onFailure: (message: string) => void;
  readonly #reasonOf: (error: unknown) => string;
  readonly #membership: OwnMembership;
  readonly #positions = new GroupPositions();
  readonly #ranges: DroppedRanges;
  /** Offsets that the log knew at the start. */
  #knownOffsets: readonly number[] = [];
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
  #notedAt = 0;
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
    this.#membership = new OwnMembership({
      membership: (projection.isShared ? log.membership : undefined) ?? soleMembership(log.partitions),
      group: projection.name,
      positions: this.#positions,
      reasonOf,
      onChanged: this.#assignmentChanged,
    });
    this.#replays = new Replays(log, projection, (partition) => this.#membership.mayWrite(partition));
    this.#ranges = new DroppedRanges({ log, projection, positions: this.#positions, clock, onFailure });
    this.#clock = clock;
    this.#pause = new Pause(clock);
    this.#onFailure = onFailure;
    this.#reasonOf = reasonOf;
  }

  /** Joins the group and starts reading. Resolves when the stored offsets are read, which is tried until it succeeds, or when the group is stopped before. */
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
    if (known) {
      this.#knownOffsets = known.offsets;
      this.#ranges.gaps = known.gaps;
    } else void this.#register();
    await this.#membership.join();
    await this.#goOnFromStored();
    await this.#register();
    this.#unsubscribe = this.#log.onAppended(() => this.#wake?.());
  }

  /** Saves the group’s offsets to the log. If the log cannot be written now, they are saved later. */
  async #register(): Promise<void> {
    await this.#noteOffsets().catch((error) =>
      this.#onFailure(`${this.#projection.name} could not be registered with the log: ${this.#reasonOf(error)}`),
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wakeUp();
    await this.#running;
    this.#unsubscribe?.();
    await this.#noteProgress().catch((error) =>
      this.#onFailure(`${this.#projection.name} could not store its offsets and will read events again: ${this.#reasonOf(error)}`),
    );
    await this.#membership.leave();
  }

  readonly #assignmentChanged = (partitions: readonly number[], change: 'assigned' | 'revoked' | 'given up'): void => {
    // Operators see and skip them while the group does not run.
    if (change !== 'given up') this.#ranges.forget(partitions);
    // Another process may have put some.
    if (change === 'assigned') this.#log.deadLetters.reload?.(this.#projection.name);
    this.#wakeUp();
  };

  #wakeUp(): void {
    this.#wake?.();
    this.#pause.end();
  }

  /**
   * Skips the events that retention dropped before the group read them, in the partitions of this process. Records the gap first.
   * @returns the gaps; none when no events were dropped
   */
  skipDropped(): Promise<ConsumerGap[]> {
    return this.#membership.doing(this.#skipDropped());
  }

  async #skipDropped(): Promise<ConsumerGap[]> {
    const gaps = await this.#ranges.skip();
    if (gaps.length > 0) this.#failure = null;
    this.#wakeUp();
    return gaps;
  }

  /**
   * Resolves when all events that the log has now are applied, of the partitions that this process has: it does not wait for those of other processes.
   * At once while the group is stopped, by a caller or by dropped events.
   */
  async caughtUp(): Promise<void> {
    const ends = await readEnds(this.#log, this.#clock, () => this.#stopped);
    if (!ends || this.#stopped || this.#ranges.areStopping || this.#hasReached(ends)) return;
    const reached = this.#awaiting.add(ends);
    this.#wakeUp();
    return reached;
  }

  /** Applies a dead letter again. See `Replays`. */
  replay(id: number): Promise<boolean> {
    return this.#membership.doing(this.#replays.replay(id));
  }

  stats(): ConsumerStats {
    const offsets = this.#positions.offsets.length > 0 ? this.#positions.offsets : this.#knownOffsets;
    return {
      group: this.#projection.name,
      lag: lagOf(this.#log, offsets, (partition) => this.#membership.isCounted(partition)),
      applied: this.#applied,
      deadLetters: this.#deadLetters,
      failure: this.#failure ?? this.#checkFailure ?? this.#membership.failure ?? this.#noteFailure,
      offsets: [...offsets],
      partitions: this.#positions.partitions,
      overtaken: this.#ranges.list(),
      gaps: this.#ranges.gaps,
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
        this.#noteFailure = await this.#membership.doing(this.#noteProgress()).then(() => null, this.#reasonOf);
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

  readonly #hasReached = (ends: readonly number[]): boolean =>
    this.#membership.isJoined && !this.#membership.isLapsed && this.#positions.hasReached(ends);

  /** Reads and applies new events. @returns number of events that were read */
  async #readOnce(): Promise<number> {
    const found: LoggedBatch[] = [];
    const read: ReadRange[] = [];
    const failures: Error[] = [];
    let events = 0;
    if (this.#positions.unread().length > 0) await this.#goOnFromStored();
    if (this.#ranges.areStopping) return 0;
    if (!this.#ranges.isEmpty) await this.#skipDropped();
    const readable = this.#positions.readable();
    for (let turn = 0; turn < this.#log.partitions && events < READ_EVENTS_MAX && !this.#stopped; turn++) {
      const partition = this.#first;
      this.#first = (this.#first + 1) % this.#log.partitions;
      if (!this.#isOurs(readable, partition)) continue;
      const offset = this.#positions.offsets[partition] ?? 0;
      const { batches, next, failure } = await this.#read(partition, offset, READ_EVENTS_MAX - events);
      if (failure) failures.push(failure);
      if (next === offset || !this.#isOurs(readable, partition)) continue;
      // Offsets of Kafka count records.
      events += batches.reduce((sum, { batch }) => sum + batch.events.length, next - offset - batches.length);
      const wanted = this.#projection.wants ? batches.filter(({ batch }) => this.#projection.wants?.(batch.zone)) : batches;
      if (wanted.length > 0) {
        for (const batch of wanted) found.push(batch);
        read.push(this.#positions.rangeTo(partition, next));
      } else {
        this.#positions.noteSkipped(partition, next);
        this.#advance(partition, next);
      }
    }
    if (read.length > 0) {
      const applied = await this.#applyAll(found, read, readable);
      if (!applied) return 0;
      this.#positions.noteStored(applied);
      for (const { partition, next } of applied) this.#advance(partition, next);
    }
    // A partition that cannot be read does not hold up the others.
    if (failures[0]) throw failures[0];
    return events;
  }

  /** Whether a partition is still assigned as it was. */
  #isOurs(readable: ReadonlyMap<number, number>, partition: number): boolean {
    return readable.has(partition) && this.#positions.isHeld(partition, readable.get(partition));
  }

  /** Checks the stored offsets. If they differ from the expected ones, continues from them. */
  async #check(): Promise<void> {
    await this.#goOnFromStored().catch((error) => {
      this.#checkFailure = this.#reasonOf(error);
    });
    this.#checkedAt = this.#clock.elapsed();
  }

  async #goOnFromStored(): Promise<void> {
    const asked = this.#positions.unread();
    const { offsets, unknown } = await storedOffsets(this.#projection, this.#log, this.#clock);
    for (const { partition, expected, stored } of this.#positions.adopt(offsets, unknown, asked)) {
      this.#onFailure(
        stored < expected
          ? `the store of ${this.#projection.name} has lost partition ${partition} from offset ${stored} to ${expected - 1}; it is read again`
          : `the store of ${this.#projection.name} has partition ${partition} up to offset ${stored - 1}, not ${expected - 1}`,
      );
      this.#ranges.forget([partition]);
    }
    this.#checkFailure = unknownEnds(this.#projection.name, this.#positions.unknown);
    this.#checkedAt = this.#clock.elapsed();
  }

  #advance(partition: number, next: number): void {
    this.#applied += this.#positions.advance(partition, next);
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
  async #dropped(error: OffsetOutOfRange): Promise<void> {
    if (!this.#positions.has(error.partition)) return;
    this.#ranges.add(error);
    this.#failure = error.message;
    this.#onFailure(`${this.#projection.name} has stopped: ${error.message}`);
    if (!this.#ranges.areStopping) return void (await this.#skipDropped());
    this.#awaiting.resolve(() => true);
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
        const result = await this.#membership.doing(work());
        if (this.#ranges.isEmpty) this.#failure = null;
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
    if (this.#positions.offsets.length === 0) return;
    const skipped = this.#positions.skipped();
    if (skipped.length > 0) {
      await this.#projection.apply([], skipped);
      this.#positions.noteStored(skipped);
    }
    await this.#noteOffsets();
  }

  #noteOffsets(): Promise<void> {
    return this.#log.consumers.note(this.#projection.name, this.#positions.offsets, this.#membership.held);
  }

  /**
   * Applies batches, except those of partitions that were revoked meanwhile.
   * @returns the ranges that were applied; null when the group was stopped before, or the stored offsets have changed
   */
  async #applyAll(
    found: readonly LoggedBatch[],
    read: readonly ReadRange[],
    readable: ReadonlyMap<number, number>,
  ): Promise<readonly ReadRange[] | null> {
    const isOurs = ({ partition }: { readonly partition: number }) => this.#isOurs(readable, partition);
    let left = found;
    while (!this.#stopped) {
      left = left.filter(isOurs);
      const ranges = read.filter(isOurs);
      if (ranges.length === 0) return ranges;
      try {
        await this.#projection.apply(
          left.map(({ batch }) => batch),
          ranges,
        );
        this.#failure = null;
        return ranges;
      } catch (error) {
        if (error instanceof OffsetsChanged && (await this.#isMoved())) return null;
        const failed = error instanceof CannotApply ? left.find(({ batch }) => batch === error.batch) : undefined;
        if (!(error instanceof CannotApply) || !failed) throw error;
        const { isNew, rest } = await storeDeadLetter(this.#log.deadLetters, this.#projection.name, failed, error, {
          createdAt: this.#clock.now(),
          generation: this.#membership.held && readable.get(failed.partition),
        });
        if (isNew) this.#noteDeadLetter(failed.batch, error);
        left = left.flatMap((one) => (one === failed ? rest : [one]));
      }
    }
    return null;
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
