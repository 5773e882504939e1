import { type ReadRange, requireOffsets } from '@millrace/base/offsets';
import type { EventBatch, ZoneAddress } from '@millrace/kernel';
import {
  CannotApply,
  ConsumerGroup,
  type DeadLetterBox,
  type EventLog,
  type GroupMembership,
  LeasedMembership,
  type LoggedBatch,
  type Projection,
  StaleGeneration,
} from '@millrace/log';
import { MemoryGroups } from '@millrace/log/testing';
import type { Machine, Scheduler } from './scheduler.ts';

/*
 * A log, a database and processes that share a consumer group, simulated: the real consumer groups and memberships, with a watch that compares what the
 * members believe with what they may.
 */

export const GROUP = 'table';
export const PARTITIONS = 5;
export const ZONES = Array.from({ length: 7 }, (_none, index) => `zone/${index}` as ZoneAddress);
/** Maximum delay of a message to or from the database or the log, ms. */
const DELAY_MS_MAX = 120;
/** The same while the database is slow. */
const SLOW_MS_MAX = 3_000;
/** Share of requests to the database whose response is lost, while there are faults. */
const LOST = 0.05;
/** Maximum number of batches of a read, so that a group has much to do. */
const READ_BATCHES_MAX = 3;

const partitionOf = (zone: ZoneAddress): number => ZONES.indexOf(zone) % PARTITIONS;
/** Whether a batch can never be applied. */
export const isPoison = ({ firstSeq }: EventBatch): boolean => firstSeq % 6 === 0;

/** A member of the group: one run of a process. */
interface Run {
  readonly name: string;
  readonly machine: Machine;
  readonly life: number;
  /** By partition that it has: whether it is giving it up. */
  readonly has: Map<number, 'reads' | 'gives up'>;
}

/** Everything outside of the processes, and the watch. */
export class SharedGroup {
  readonly mistakes: string[] = [];
  readonly counts = { handovers: 0, refused: 0, lapses: 0 };
  readonly partitions: LoggedBatch[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly rows: string[] = [];
  readonly dead: string[] = [];
  readonly stored = new Map<number, number>();
  readonly noted: number[] = [];
  readonly groups: MemoryGroups;
  isUp = true;
  isSlow = false;
  hasFaults = true;
  /** Machines that do not reach the database. */
  readonly cut = new Set<Machine>();
  readonly #scheduler: Scheduler;
  readonly #runs = new Map<string, Run>();
  readonly #listeners = new Map<() => void, Machine>();
  /** By partition and generation, who had it. */
  readonly #owners = new Map<string, string>();
  #generation = 0;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
    this.groups = new MemoryGroups({ now: () => scheduler.now });
  }

  append(batch: EventBatch): void {
    const partition = partitionOf(batch.zone);
    const all = this.partitions[partition] ?? [];
    const offset = all.at(-1)?.next ?? 0;
    all.push({ partition, offset, next: offset + batch.events.length, batch });
    for (const [listener, machine] of this.#listeners) machine.run(listener);
  }

  /** A process that runs the group. */
  member(machine: Machine, name: string): ConsumerGroup {
    const run: Run = { name, machine, life: machine.life, has: new Map() };
    this.#runs.set(name, run);
    return new ConsumerGroup(this.#log(run), this.#projection(run), machine);
  }

  believedBy(name: string): number[] {
    return [...(this.#runs.get(name)?.has ?? [])].filter(([, state]) => state === 'reads').map(([partition]) => partition);
  }

  async #ask<T>(machine: Machine, work: () => T): Promise<Awaited<T>> {
    const delay = this.#scheduler.between(1, this.isSlow ? SLOW_MS_MAX : DELAY_MS_MAX);
    const isLost = this.hasFaults && this.#scheduler.chance(LOST);
    const settle = async () => {
      if (!this.isUp || this.cut.has(machine)) throw new Error('the database is down');
      const result = await work();
      if (isLost) throw new Error('the connection was lost');
      return result;
    };
    // A rejection has no receiver until the response arrives.
    const [outcome] = await machine.ask(delay, () => Promise.allSettled([settle()]));
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  }

  #projection(run: Run): Projection {
    const { machine } = run;
    const requireHeld = (read: readonly ReadRange[]) => {
      for (const { partition } of read)
        if (isRunning(run) && !run.has.has(partition))
          this.mistakes.push(`${run.name} writes for partition ${partition}, which it has given up`);
    };
    const apply = (batches: readonly EventBatch[], read: readonly ReadRange[]) => {
      requireHeld(read);
      try {
        requireOffsets(GROUP, this.stored, read);
      } catch (error) {
        this.counts.refused++;
        throw error;
      }
      const poison = batches.find(isPoison);
      if (poison) throw new CannotApply(poison, 'it is poison');
      for (const { zone, firstSeq, events } of batches)
        for (const [index] of events.entries()) this.rows.push(`${zone} ${firstSeq + index}`);
      for (const { partition, next } of read) this.stored.set(partition, next);
    };
    return {
      name: GROUP,
      isShared: true,
      offsets: () => this.#ask(machine, () => new Map(this.stored)),
      apply: (batches, read) => this.#ask(machine, () => apply(batches, read)),
    };
  }

  #log(run: Run): EventLog {
    const { machine } = run;
    const ends = () => this.partitions.map((all) => all.at(-1)?.next ?? 0);
    const readFrom = (partition: number, offset: number) => {
      const batches = (this.partitions[partition] ?? []).filter((one) => one.offset >= offset).slice(0, READ_BATCHES_MAX);
      return { batches, next: batches.at(-1)?.next ?? offset };
    };
    const log: Partial<EventLog> = {
      partitions: PARTITIONS,
      membership: this.#membership(run),
      readFrom: (partition, offset) => machine.ask(this.#scheduler.between(1, DELAY_MS_MAX), () => readFrom(partition, offset)),
      ends: () => machine.ask(1, ends),
      stats: () => ({ partitions: ends().map((end) => ({ start: 0, end })), bytes: 0 }),
      onAppended: (listener) => {
        this.#listeners.set(listener, machine);
        return () => void this.#listeners.delete(listener);
      },
      consumers: {
        note: (_group, offsets, held) => this.#ask(machine, () => this.#note(offsets, held)),
        find: () => this.#ask(machine, () => ({ group: GROUP, offsets: [...this.noted], gaps: [], beyondEnd: [] })),
        noteBeyondEnd: async () => {},
      } as Partial<EventLog['consumers']> as EventLog['consumers'],
      deadLetters: this.#deadLetters(machine),
    };
    return log as EventLog;
  }

  /** As in the tables. */
  #requireGenerations(held: ReadonlyMap<number, number>): void {
    const { partitions } = this.groups.stateOf(GROUP);
    for (const [partition, generation] of held) {
      const newest = partitions[partition]?.generation ?? 0;
      if (newest === generation) continue;
      this.counts.refused++;
      throw new StaleGeneration(GROUP, { partition, generation }, newest);
    }
  }

  #note(offsets: readonly number[], held: ReadonlyMap<number, number> = new Map()): void {
    this.#requireGenerations(held);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const before = this.noted[partition];
      const next = offsets[partition] ?? 0;
      if (!held.has(partition) && before !== undefined) continue;
      if (next < (before ?? 0)) this.mistakes.push(`the noted offset of partition ${partition} went back from ${before} to ${next}`);
      if (next > (this.stored.get(partition) ?? 0))
        this.mistakes.push(`partition ${partition} was noted up to ${next} before it was stored`);
      this.noted[partition] = next;
    }
  }

  #deadLetters(machine: Machine): DeadLetterBox {
    const keyOf = (zone: string, seq: number) => `${zone} ${seq}`;
    const box: Partial<DeadLetterBox> = {
      has: (_group, zone, seq) => this.#ask(machine, () => this.dead.includes(keyOf(zone, seq))),
      put: ({ zone, partition }, batch, generation = 0) =>
        this.#ask(machine, () => {
          this.#requireGenerations(new Map([[partition, generation]]));
          for (const [index] of batch.events.entries()) this.dead.push(keyOf(zone, batch.firstSeq + index));
        }),
    };
    return box as DeadLetterBox;
  }

  #membership(run: Run): GroupMembership {
    const { machine, name } = run;
    const store = {
      beat: (group: string, beat: Parameters<MemoryGroups['beat']>[1]) =>
        this.#ask(machine, () => this.#watched(() => this.groups.beat(group, beat))),
      leave: (group: string, member: string) => this.#ask(machine, () => this.#watched(() => this.groups.leave(group, member))),
    };
    const leased = new LeasedMembership({
      store,
      clock: machine,
      partitions: PARTITIONS,
      newMember: () => name.split('#').at(-1) ?? '',
      place: machine.name,
    });
    return {
      isShared: true,
      join: (group, member) =>
        leased.join(group, {
          assigned: (partitions, generation) => {
            for (const partition of partitions) this.#noteAssigned(run, partition, generation);
            return member.assigned(partitions, generation);
          },
          revoked: async (partitions) => {
            for (const partition of partitions) run.has.set(partition, 'gives up');
            await member.revoked(partitions);
            for (const partition of partitions) if (run.has.get(partition) === 'gives up') run.has.delete(partition);
          },
          failed: (error) => member.failed(error),
        }),
    };
  }

  /** Another process may take over at once from one that has crashed in its place. */
  #isReadBy(name: string, partition: number): boolean {
    const run = this.#runs.get(name);
    return run !== undefined && run.machine.life === run.life && run.has.has(partition);
  }

  #noteAssigned(run: Run, partition: number, generation: number): void {
    const key = `partition ${partition} in generation ${generation}`;
    const before = this.#owners.get(key) ?? run.name;
    if (before !== run.name) this.mistakes.push(`${before} and ${run.name} had ${key}`);
    this.#owners.set(key, run.name);
    for (const other of this.#runs.values()) {
      if (other !== run && isRunning(other) && other.has.get(partition) === 'reads')
        this.mistakes.push(`${run.name} got ${key} while ${other.name} read it`);
    }
    run.has.set(partition, 'reads');
  }

  /** A change of the memberships. It must take nothing from a member whose lease lasts, before that has given it up. */
  async #watched<T>(change: () => Promise<T>): Promise<T> {
    const before = this.groups.stateOf(GROUP);
    const result = await change();
    const after = this.groups.stateOf(GROUP);
    const now = this.#scheduler.now;
    for (const [partition, { owner }] of after.partitions.entries()) {
      const former = before.partitions[partition]?.owner ?? null;
      if (former === owner || former === null) continue;
      this.counts.handovers++;
      if ((before.leases[former]?.until ?? 0) <= now) this.counts.lapses++;
      else if (this.#isReadBy(former, partition)) this.mistakes.push(`partition ${partition} was taken from ${former}`);
    }
    const isChanged = after.partitions.some(({ owner }, partition) => owner !== before.partitions[partition]?.owner);
    if (after.generation < this.#generation || (isChanged && after.generation === this.#generation))
      this.mistakes.push(`generation ${after.generation} follows ${this.#generation}`);
    this.#generation = after.generation;
    return result;
  }
}

function isRunning({ machine, life }: Run): boolean {
  return machine.isUp && !machine.isPaused && machine.life === life;
}
