import { seedOf } from '@millrace/base/random';
import type { DeadLetter } from '@millrace/contracts';
import { type Appended, admit, type Claim, type EventBatch, lastSeqOf, writerOf, type ZoneAddress } from '@millrace/kernel';
import {
  type ConsumerGap,
  type ConsumerRegistry,
  type DeadLetterBox,
  type EventLog,
  type LoggedBatch,
  OffsetOutOfRange,
} from '@millrace/log';
import type { Machine } from './scheduler.ts';
import { asked, askedToChange, never, noFaults } from './service-faults.ts';

const PARTITIONS = 2;
/** Poll interval of the writers’ lock, ms. */
const LOCK_LOOK_MS = 10;

/** The log as a service of all machines. It accepts batches by the rule of the kernel. */
export class SimulatedLog {
  readonly faults = noFaults();
  /** Accepted batches, in order. */
  readonly batches: { batch: EventBatch; by: string }[] = [];
  /** A paused machine that holds the writers’ lock: nobody else can write until it continues or crashes. */
  holder: Machine | null = null;
  /** The claimer of each epoch of each zone. */
  readonly claims = new Map<string, string>();
  readonly #partitions: LoggedBatch[][] = Array.from({ length: PARTITIONS }, () => []);
  /** The event at each offset of each partition, as `zone seq`; not subject to retention. */
  readonly #events: string[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly #heads = new Map<ZoneAddress, { epoch: number; seq: number }>();
  readonly #listeners = new Map<() => void, Machine>();
  #storedDeadLetters: { deadLetter: DeadLetter; batch: EventBatch }[] = [];
  #deadLettersPut = 0;
  readonly #deadEvents = new Set<string>();
  readonly #groups = new Map<string, { offsets: readonly number[]; gaps: ConsumerGap[] }>();
  readonly #turns = new Map<string, number>();
  /** Newest event of each zone that retention has dropped. */
  readonly #dropped = new Map<ZoneAddress, number>();
  /** Newest event of each zone that retention has dropped because a snapshot has it. */
  readonly #covered = new Map<ZoneAddress, number>();

  /**
   * The log, as used by one machine.
   * @param isWhole whether zones are read as if retention by size had dropped nothing, because their owners must always recover
   */
  for(machine: Machine, owner: string, { isWhole = true } = {}): EventLog {
    const log = this;
    const ask = <T>(work: () => T) => asked(machine, this.faults, 'the log', work);
    return {
      partitions: PARTITIONS,
      claim: async (zone) => {
        await this.#unlocked(machine);
        return askedToChange(machine, this.faults, 'the log', () => this.#claim(zone, owner));
      },
      append: async (batches, onTaken) => {
        const captured = structuredClone(batches);
        await this.#unlocked(machine);
        return this.#append(machine, owner, captured, onTaken);
      },
      async *read(zone, afterSeq) {
        yield* await ask(() => {
          const dropped = (isWhole ? log.#covered : log.#dropped).get(zone) ?? 0;
          return structuredClone(log.ofZone(zone).filter((batch) => lastSeqOf(batch) > afterSeq && batch.firstSeq > dropped));
        });
      },
      readFrom: (partition, offset, eventsMax) => ask(() => this.#readFrom(partition, offset, eventsMax)),
      onAppended: (listener) => {
        this.#listeners.set(listener, machine);
        return () => this.#listeners.delete(listener);
      },
      retain: async () => 0,
      pauseWrites: (work) => work(),
      deadLetters: this.#deadLetters(),
      consumers: this.#consumers(),
      stats: () => ({
        partitions: this.#partitions.map((all) => ({ start: all[0]?.offset ?? 0, end: all.at(-1)?.next ?? 0 })),
        bytes: 0,
      }),
      close: async () => {},
    };
  }

  ofZone(zone: ZoneAddress): EventBatch[] {
    return this.batches.filter(({ batch }) => batch.zone === zone).map(({ batch }) => batch);
  }

  #claim(zone: ZoneAddress, owner: string): Claim {
    const head = this.#headOf(zone);
    head.epoch++;
    this.claims.set(`${zone} ${head.epoch}`, owner);
    return { epoch: head.epoch, lastSeq: head.seq };
  }

  /** Appends of one owner are accepted in the order of sending, and become durable later. */
  #append(machine: Machine, owner: string, batches: readonly EventBatch[], onTaken?: () => void): Promise<Appended[]> {
    const { scheduler } = machine;
    const { slowMs } = this.faults;
    if (this.faults.hung) return never();
    const turn = Math.max(scheduler.now + scheduler.between(0.1, 2) + slowMs, this.#turns.get(owner) ?? 0);
    this.#turns.set(owner, turn);
    return machine
      .ask(turn - scheduler.now, () => {
        if (this.faults.unavailable) throw new Error('the log is unavailable');
        if (this.faults.readOnly) throw new Error('EROFS: the log is read-only');
        const taken = this.#take(batches, owner);
        if (this.faults.mute) throw new Error('the log did not answer');
        return taken;
      })
      .then((taken) => {
        onTaken?.();
        return machine.ask(scheduler.between(0.1, 3) + slowMs, () => taken);
      });
  }

  #take(batches: readonly EventBatch[], owner: string): Appended[] {
    // All or nothing: one batch that would leave a gap fails them all.
    const heads = new Map([...this.#heads].map(([zone, head]) => [zone, { ...head }]));
    const fresh: EventBatch[] = [];
    const outcome = batches.map((batch): Appended => {
      const head = heads.get(batch.zone) ?? { epoch: 0, seq: 0 };
      const rest = admit(batch, head);
      if (rest === 'stale') return 'stale';
      if (rest === 'known') return { at: 0 };
      head.seq = lastSeqOf(rest);
      head.epoch = Math.max(head.epoch, writerOf(rest));
      heads.set(batch.zone, head);
      fresh.push(rest);
      return { at: 0 };
    });
    for (const [zone, head] of heads) this.#heads.set(zone, head);
    for (const batch of fresh) {
      this.batches.push({ batch, by: owner });
      const partition = seedOf(batch.zone) % PARTITIONS;
      const all = this.#partitions[partition] as LoggedBatch[];
      const offset = all.at(-1)?.next ?? 0;
      const next = offset + (batch.events.length || 1);
      all.push({ partition, offset, next, batch });
      for (let at = offset; at < next; at++) this.#events[partition]?.push(`${batch.zone} ${batch.firstSeq + at - offset}`);
    }
    if (fresh.length > 0) for (const [listener, machine] of [...this.#listeners]) machine.run(listener);
    return outcome;
  }

  #readFrom(partition: number, offset: number, eventsMax: number): LoggedBatch[] {
    const found: LoggedBatch[] = [];
    let events = 0;
    const start = this.#partitions[partition]?.[0]?.offset ?? 0;
    if (offset < start) throw new OffsetOutOfRange(partition, offset, start);
    for (const logged of this.#partitions[partition] ?? []) {
      if (logged.offset < offset) continue;
      found.push(logged);
      events += logged.next - logged.offset;
      if (events >= eventsMax) break;
    }
    return structuredClone(found);
  }

  /** Retention by size: drops all but the newest batches of each partition, read or not. Owners of zones can still read them. */
  dropOldest(): void {
    for (const all of this.#partitions)
      for (const { batch } of all.splice(0, all.length - 1)) this.#dropped.set(batch.zone, lastSeqOf(batch));
  }

  /**
   * Retention by age: drops the oldest batches of each partition that every group has read and a snapshot covers, but not the newest batch. Owners of zones
   * cannot read them any more.
   */
  async dropCovered(covers: (zone: ZoneAddress, seq: number) => Promise<boolean>): Promise<void> {
    for (const [partition, all] of this.#partitions.entries())
      for (let oldest = all[0]; oldest && all.length > 1; oldest = all[0]) {
        const { batch, next } = oldest;
        const isRead = [...this.#groups.values()].every(({ offsets }) => (offsets[partition] ?? 0) >= next);
        if (!isRead || !(await covers(batch.zone, lastSeqOf(batch)))) break;
        if (all[0] !== oldest) continue;
        all.shift();
        for (const dropped of [this.#dropped, this.#covered]) dropped.set(batch.zone, lastSeqOf(batch));
      }
  }

  /** Cancels all notifications to a crashed machine. */
  disconnect(machine: Machine): void {
    for (const [listener, of] of this.#listeners) if (of === machine) this.#listeners.delete(listener);
  }

  /** Moves the offsets of a group back, as far as retention allows: the store lost its newest commits. */
  forgetOffsets(group: string, count: number): void {
    const known = this.#groups.get(group);
    if (!known) return;
    const start = (partition: number) => this.#partitions[partition]?.[0]?.offset ?? 0;
    const offsets = known.offsets.map((offset, partition) =>
      Math.min(offset, Math.max(start(partition), this.#beginOf(partition, offset - count))),
    );
    this.#groups.set(group, { ...known, offsets });
  }

  /** First offset of the batch that contains an offset. */
  #beginOf(partition: number, offset: number): number {
    return this.#partitions[partition]?.find(({ next }) => next > offset)?.offset ?? Math.max(0, offset);
  }

  /** Resolves when no other machine holds the writers’ lock. */
  async #unlocked(machine: Machine): Promise<void> {
    const isLocked = () => this.holder !== null && this.holder !== machine && this.holder.isUp && this.holder.isPaused;
    while (isLocked()) await new Promise<void>((resolve) => void machine.after(LOCK_LOOK_MS, resolve));
  }

  /** Events that consumer groups skipped, as `zone seq`. */
  skippedEvents(): Set<string> {
    const skipped = new Set<string>();
    for (const { gaps } of this.#groups.values())
      for (const { partition, from, to } of gaps) for (const event of this.#events[partition]?.slice(from, to) ?? []) skipped.add(event);
    return skipped;
  }

  #headOf(zone: ZoneAddress): { epoch: number; seq: number } {
    let head = this.#heads.get(zone);
    if (!head) {
      head = { epoch: 0, seq: 0 };
      this.#heads.set(zone, head);
    }
    return head;
  }

  #consumers(): ConsumerRegistry {
    const groupOf = (group: string) => this.#groups.get(group) ?? { offsets: [], gaps: [] };
    const beyondEnds = new Map<string, readonly (number | null)[]>();
    return {
      note: async (group, offsets) => void this.#groups.set(group, { ...groupOf(group), offsets: [...offsets] }),
      remove: async (group) => void this.#groups.delete(group),
      offsets: (group) => groupOf(group).offsets,
      groups: () => [...this.#groups].map(([group, { offsets }]) => ({ group, offsets })),
      noteBeyondEnd: async (group, ends) => void beyondEnds.set(group, ends),
      beyondEnd: (group) => beyondEnds.get(group) ?? [],
      recordGap: async (group, gap) => void this.#groups.set(group, { ...groupOf(group), gaps: [...groupOf(group).gaps, gap] }),
      gaps: (group) => groupOf(group).gaps,
    };
  }

  #deadLetters(): DeadLetterBox {
    return {
      put: async (deadLetter, batch) => {
        this.#storedDeadLetters.push({ deadLetter: { id: ++this.#deadLettersPut, ...deadLetter }, batch });
        for (const [index] of batch.events.entries()) this.#deadEvents.add(`${deadLetter.group} ${batch.zone} ${batch.firstSeq + index}`);
      },
      has: (group, zone, seq) =>
        this.#storedDeadLetters.some(({ deadLetter: one }) => one.group === group && one.zone === zone && one.seq === seq),
      wasPut: (group, zone, seq) => this.#deadEvents.has(`${group} ${zone} ${seq}`),
      list: (group) =>
        this.#storedDeadLetters.map(({ deadLetter }) => deadLetter).filter((one) => group === undefined || one.group === group),
      replace: async () => {},
      open: (id) => this.#storedDeadLetters.find(({ deadLetter }) => deadLetter.id === id),
      remove: async (id) => {
        this.#storedDeadLetters = this.#storedDeadLetters.filter(({ deadLetter }) => deadLetter.id !== id);
      },
    };
  }
}
