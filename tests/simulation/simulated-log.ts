import { seedOf } from '@millrace/base/random';
import type { DeadLetter } from '@millrace/contracts';
import {
  ClaimLost,
  type EventBatch,
  type FollowedPart,
  lastSeqOf,
  SequenceGap,
  type ShardClaim,
  type ShardWriter,
  type WriterEnd,
  WriterEnded,
  type ZoneAddress,
} from '@millrace/kernel';
import {
  advancedOffsets,
  type ConsumerGap,
  type ConsumerRegistry,
  type DeadLetterBox,
  type EventLog,
  type KnownGroup,
  type LoggedBatch,
  type LogRead,
  OffsetOutOfRange,
} from '@millrace/log';
import type { Machine } from './scheduler.ts';
import { asked, askedToChange, never, noFaults } from './service-faults.ts';
import type { WrittenBatch, ZoneLog } from './zone-log.ts';

const PARTITIONS = 2;
const IN_FLIGHT_MAX = 8;
/** Poll interval of the writers’ lock, ms. */
const LOCK_LOOK_MS = 10;
/** Interval at which followers read, ms. */
const FOLLOW_MS = 50;

/** An owner of a shard. */
interface Owner {
  readonly epoch: number;
  readonly name: string;
  /** The run of a host that has claimed it. */
  readonly by: string;
}

const NOBODY: Owner = { epoch: 0, name: '', by: '' };

/** The log as a service of all machines. It accepts batches of the newest owner of a shard. */
export class SimulatedLog implements ZoneLog {
  readonly faults = noFaults();
  /** Accepted batches, in order, with who wrote them under which epoch of the shard. */
  readonly batches: WrittenBatch[] = [];
  /** A paused machine that holds the writers’ lock: nobody else can write until it continues or crashes. */
  holder: Machine | null = null;
  /** The claimer of each epoch of each shard, as `shard epoch`. */
  readonly claims = new Map<string, string>();
  readonly shardOf: (zone: ZoneAddress) => number;
  readonly #owners = new Map<number, Owner>();
  readonly #partitions: LoggedBatch[][] = Array.from({ length: PARTITIONS }, () => []);
  /** The event at each offset of each partition, as `zone seq`; not subject to retention. */
  readonly #events: string[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly #heads = new Map<ZoneAddress, number>();
  readonly #listeners = new Map<() => void, Machine>();
  #storedDeadLetters: { deadLetter: DeadLetter; batch: EventBatch }[] = [];
  #deadLettersPut = 0;
  readonly #deadEvents = new Set<string>();
  readonly #groups = new Map<string, { offsets: readonly number[]; gaps: ConsumerGap[] }>();
  readonly #turns = new Map<string, number>();
  #claimed = 0;
  /** Newest event of each zone that retention has dropped. */
  readonly #dropped = new Map<ZoneAddress, number>();
  /** Newest event of each zone that retention has dropped because a snapshot has it. */
  readonly #covered = new Map<ZoneAddress, number>();

  constructor(shardOf = (zone: ZoneAddress) => seedOf(zone) % PARTITIONS) {
    this.shardOf = shardOf;
  }

  /**
   * The log, as used by one machine.
   * @param isWhole whether zones are read as if retention by size had dropped nothing, because their owners must always recover
   */
  for(machine: Machine, owner: string, { isWhole = true } = {}): EventLog {
    const log = this;
    const ask = <T>(work: () => T) => asked(machine, this.faults, 'the log', work);
    return {
      partitions: PARTITIONS,
      inFlightMax: IN_FLIGHT_MAX,
      shardOf: this.shardOf,
      own: (shard, claim) => this.#own(machine, owner, shard, claim),
      async *read(zone, afterSeq) {
        yield* await ask(() => {
          const dropped = (isWhole ? log.#covered : log.#dropped).get(zone) ?? 0;
          return structuredClone(log.ofZone(zone).filter((batch) => lastSeqOf(batch) > afterSeq && batch.firstSeq > dropped));
        });
      },
      placeOf: (shard) =>
        ask(() => {
          const heads = new Map([...this.#heads].filter(([zone]) => this.shardOf(zone) === shard));
          return { position: this.batches.length, heads };
        }),
      follow: (shard, from, signal) =>
        this.#follow(machine, shard, Math.min(...from.map((position) => (position as number | null) ?? 0)), signal),
      readFrom: (partition, offset, eventsMax) => ask(() => this.#readFrom(partition, offset, eventsMax)),
      ends: () => ask(() => this.#partitions.map((all) => all.at(-1)?.next ?? 0)),
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

  journal(machine: Machine, owner: string): EventLog {
    return this.for(machine, owner);
  }

  open(machine: Machine): EventLog {
    return this.for(machine, machine.name);
  }

  history(machine: Machine): EventLog {
    return this.for(machine, 'operators', { isWhole: false });
  }

  ofZone(zone: ZoneAddress): EventBatch[] {
    return this.batches.filter(({ batch }) => batch.zone === zone).map(({ batch }) => batch);
  }

  /** Reads the owner, lets the claimer prepare, and claims the shard if the owner is still the same. The response of the claim may be lost. */
  async #own(machine: Machine, by: string, shard: number, { lease, onPrevious }: ShardClaim): Promise<ShardWriter> {
    await this.#unlocked(machine);
    const before = await asked(machine, this.faults, 'the log', () => this.#owners.get(shard) ?? NOBODY);
    if (lease.leftMs() <= 0) throw new ClaimLost(shard, 'its lease has ended');
    const mine: Owner = { epoch: before.epoch + 1, name: `${shard}-${before.epoch + 1}-${this.#claimed++}`, by };
    onPrevious(mine.name, before.name);
    await this.#unlocked(machine);
    const heads = await askedToChange(machine, this.faults, 'the log', () => this.#claim(shard, before, mine));
    return this.#writer(machine, shard, mine, heads);
  }

  /** @returns the newest seqs of the zones of the shard */
  #claim(shard: number, before: Owner, mine: Owner): Map<ZoneAddress, number> {
    if ((this.#owners.get(shard) ?? NOBODY).name !== before.name) throw new ClaimLost(shard, 'another claim was first');
    this.#owners.set(shard, mine);
    this.claims.set(`${shard} ${mine.epoch}`, mine.by);
    return new Map([...this.#heads].filter(([zone]) => this.shardOf(zone) === shard));
  }

  #writer(machine: Machine, shard: number, mine: Owner, heads: Map<ZoneAddress, number>): ShardWriter {
    const ended = Promise.withResolvers<WriterEnd>();
    let sent: Promise<unknown> = Promise.resolve();
    return {
      epoch: mine.epoch,
      headOf: (zone) => heads.get(zone) ?? 0,
      append: async (batches) => {
        const captured = structuredClone(batches);
        const unlocked = sent.then(() => this.#unlocked(machine));
        sent = unlocked;
        await unlocked;
        await this.#append(machine, shard, mine, captured).catch((error) => {
          if (error instanceof WriterEnded) ended.resolve(error.end);
          throw error;
        });
        for (const batch of captured) heads.set(batch.zone, Math.max(lastSeqOf(batch), heads.get(batch.zone) ?? 0));
        return 0;
      },
      ended: ended.promise,
      release: async () => ended.resolve('released'),
    };
  }

  /** Appends to a shard are accepted in the order of sending, and become durable later. */
  #append(machine: Machine, shard: number, mine: Owner, batches: readonly EventBatch[]): Promise<void> {
    const { scheduler } = machine;
    const { slowMs } = this.faults;
    if (this.faults.hung) return never();
    const turn = Math.max(scheduler.now + scheduler.between(0.1, 2) + slowMs, this.#turns.get(mine.name) ?? 0);
    this.#turns.set(mine.name, turn);
    return machine
      .ask(turn - scheduler.now, () => {
        if (this.faults.unavailable) throw new Error('the log is unavailable');
        if (this.faults.readOnly) throw new Error('EROFS: the log is read-only');
        this.#take(batches, shard, mine);
        if (this.faults.mute) throw new Error('the log did not answer');
      })
      .then(() => machine.ask(scheduler.between(0.1, 3) + slowMs, () => {}));
  }

  #take(batches: readonly EventBatch[], shard: number, mine: Owner): void {
    if (this.#owners.get(shard)?.name !== mine.name) throw new WriterEnded(shard, 'fenced');
    // All or nothing: one batch that would leave a gap fails them all.
    const heads = new Map<ZoneAddress, number>();
    for (const batch of batches) {
      const due = (heads.get(batch.zone) ?? this.#heads.get(batch.zone) ?? 0) + 1;
      if (batch.firstSeq !== due) throw new SequenceGap(batch.zone, due, batch.firstSeq);
      heads.set(batch.zone, lastSeqOf(batch));
    }
    for (const [zone, seq] of heads) this.#heads.set(zone, seq);
    for (const batch of batches) {
      this.batches.push({ batch, by: mine.by, epoch: mine.epoch });
      const partition = seedOf(batch.zone) % PARTITIONS;
      const all = this.#partitions[partition] as LoggedBatch[];
      const offset = all.at(-1)?.next ?? 0;
      const next = offset + (batch.events.length || 1);
      all.push({ partition, offset, next, batch });
      for (let at = offset; at < next; at++) this.#events[partition]?.push(`${batch.zone} ${batch.firstSeq + at - offset}`);
    }
    for (const [listener, machine] of [...this.#listeners]) machine.run(listener);
  }

  /** Positions of followers are numbers of batches; those of appends are all 0. */
  async *#follow(machine: Machine, shard: number, from: number, signal: AbortSignal): AsyncIterable<FollowedPart> {
    for (let index = from; !signal.aborted; ) {
      const [begin, end] = [index, this.batches.length];
      const found = await asked(machine, this.faults, 'the log', () => structuredClone(this.batches.slice(begin, end)));
      index = end;
      const ofShard = found.map(({ batch }) => ({ batch, position: 0 })).filter(({ batch }) => this.shardOf(batch.zone) === shard);
      yield { batches: ofShard, lag: this.batches.length - end };
      if (index === this.batches.length) await new Promise<void>((resolve) => void machine.after(FOLLOW_MS, resolve));
    }
  }

  #readFrom(partition: number, offset: number, eventsMax: number): LogRead {
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
    return { batches: structuredClone(found), next: found.at(-1)?.next ?? offset };
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
  async dropCovered(_machine: Machine, covers: (zone: ZoneAddress, seq: number) => Promise<boolean>): Promise<void> {
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

  #consumers(): ConsumerRegistry {
    const groupOf = (group: string) => this.#groups.get(group) ?? { offsets: [], gaps: [] };
    const beyondEnds = new Map<string, readonly (number | null)[]>();
    const known = (group: string): KnownGroup => ({ group, ...groupOf(group), beyondEnd: beyondEnds.get(group) ?? [] });
    return {
      note: async (group, offsets) => void this.#groups.set(group, { ...groupOf(group), offsets: [...offsets] }),
      advance: async (group, read, initial) =>
        void this.#groups.set(group, { ...groupOf(group), offsets: advancedOffsets(group, groupOf(group).offsets, read, initial) }),
      remove: async (group) => void this.#groups.delete(group),
      groups: async () => [...this.#groups.keys()].map(known),
      find: async (group) => (this.#groups.has(group) ? known(group) : undefined),
      noteBeyondEnd: async (group, ends) => void beyondEnds.set(group, ends),
      recordGap: async (group, gap) => void this.#groups.set(group, { ...groupOf(group), gaps: [...groupOf(group).gaps, gap] }),
    };
  }

  #deadLetters(): DeadLetterBox {
    return {
      put: async (deadLetter, batch) => {
        this.#storedDeadLetters.push({ deadLetter: { id: ++this.#deadLettersPut, ...deadLetter }, batch });
        for (const [index] of batch.events.entries()) this.#deadEvents.add(`${deadLetter.group} ${batch.zone} ${batch.firstSeq + index}`);
      },
      has: async (group, zone, seq) =>
        this.#storedDeadLetters.some(({ deadLetter: one }) => one.group === group && one.zone === zone && one.seq === seq),
      wasPut: async (group, zone, seq) => this.#deadEvents.has(`${group} ${zone} ${seq}`),
      count: async () => this.#storedDeadLetters.length,
      list: async (group) =>
        this.#storedDeadLetters.map(({ deadLetter }) => deadLetter).filter((one) => group === undefined || one.group === group),
      replace: async () => {},
      open: async (id) => this.#storedDeadLetters.find(({ deadLetter }) => deadLetter.id === id),
      remove: async (id) => {
        this.#storedDeadLetters = this.#storedDeadLetters.filter(({ deadLetter }) => deadLetter.id !== id);
      },
    };
  }
}
