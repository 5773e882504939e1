import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { seedOf } from '@millrace/base/random';
import type { DeadLetter } from '@millrace/contracts';
import {
  type Appended,
  admit,
  type Claim,
  type EventBatch,
  lastSeqOf,
  type Snapshot,
  type SnapshotLabel,
  type SnapshotStore,
  writerOf,
  type ZoneAddress,
} from '@millrace/kernel';
import {
  type ConsumerGap,
  type ConsumerRegistry,
  type DeadLetterBox,
  type EventLog,
  type LoggedBatch,
  OffsetOutOfRange,
  type Projection,
  requireOffsets,
  type SpoolDisk,
  type SpoolFile,
} from '@millrace/log';
import type { SnapshotFiles } from '@millrace/snapshots';
import type { Machine, Scheduler } from './scheduler.ts';

const PARTITIONS = 2;
/** Poll interval of the writers’ lock, ms. */
const LOCK_LOOK_MS = 10;

/** Temporary faults of a service. */
export interface ServiceFaults {
  /** Requests do not arrive. */
  unavailable: boolean;
  /** Additional delay of each response, ms. */
  slowMs: number;
  /** Requests are executed, and their responses are lost. */
  mute: boolean;
  /** Requests are neither executed nor answered, not even later. */
  hung: boolean;
  /** Writes fail. */
  readOnly: boolean;
}

export const noFaults = (): ServiceFaults => ({ unavailable: false, slowMs: 0, mute: false, hung: false, readOnly: false });

const never = <T>() => new Promise<T>(() => {});

/** Sends a request to a service that may have faults. */
function asked<T>(machine: Machine, faults: ServiceFaults, what: string, work: () => T): Promise<T> {
  const ms = machine.scheduler.between(0.1, 2) + faults.slowMs;
  if (faults.hung) return never();
  return machine.ask(ms, () => {
    if (faults.unavailable) throw new Error(`${what} is unavailable`);
    const done = work();
    if (faults.mute) throw new Error(`${what} did not answer`);
    return done;
  });
}

/** Like it, for a write. */
function askedToChange<T>(machine: Machine, faults: ServiceFaults, what: string, work: () => T): Promise<T> {
  return asked(machine, faults, what, () => {
    if (faults.readOnly) throw new Error(`EROFS: ${what} is read-only`);
    return work();
  });
}

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

  /**
   * The log, as used by one machine.
   * @param isWhole whether zones are read as if nothing had been dropped, because their owners must always recover
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
          const dropped = isWhole ? 0 : (log.#dropped.get(zone) ?? 0);
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
    return {
      note: async (group, offsets) => void this.#groups.set(group, { ...groupOf(group), offsets: [...offsets] }),
      remove: async (group) => void this.#groups.delete(group),
      groups: () => [...this.#groups].map(([group, { offsets }]) => ({ group, offsets })),
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

/** Hot snapshots in the memory of another machine. */
export class SimulatedHotStore {
  readonly faults = noFaults();
  #snapshots: Snapshot[] = [];

  for(machine: Machine): SnapshotStore {
    const ask = <T>(work: () => T) => asked(machine, this.faults, 'the hot store', work);
    return {
      save: (snapshot) => {
        const captured = structuredClone(snapshot);
        return askedToChange(machine, this.faults, 'the hot store', () => void this.#snapshots.push(captured));
      },
      list: (zone) =>
        ask((): SnapshotLabel[] =>
          this.#snapshots
            .filter((snapshot) => snapshot.zone === zone)
            .sort((a, b) => b.epoch - a.epoch || b.seq - a.seq || b.time - a.time)
            .map(({ epoch, seq, time }) => ({ zone, epoch, seq, time })),
        ),
      load: ({ zone, epoch, seq, time }) =>
        ask(() => {
          const found = this.#snapshots.find((one) => one.zone === zone && one.epoch === epoch && one.seq === seq && one.time === time);
          if (!found) throw new Error('it is gone');
          return structuredClone(found);
        }),
    };
  }

  /** Loses everything, like a restart of that machine. */
  forget(): void {
    this.#snapshots = [];
  }
}

/** Files shared by all machines. A crash during a write may leave a part of it. */
export class SimulatedFiles {
  readonly faults = noFaults();
  readonly #files = new Map<string, Buffer>();
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  for(machine: Machine): SnapshotFiles {
    const ask = <T>(work: () => T) => asked(machine, this.faults, 'the cold store', work);
    return {
      compress: async (content) => zstdCompressSync(content),
      decompress: async (content) => zstdDecompressSync(content),
      list: (folder) =>
        ask(() => [...this.#files.keys()].filter((path) => path.startsWith(`${folder}/`)).map((path) => path.slice(folder.length + 1))),
      read: (path) =>
        ask(() => {
          const content = this.#files.get(path);
          if (!content) throw new Error(`${path} is not there`);
          return content;
        }),
      write: (folder, name, content) =>
        askedToChange(machine, this.faults, 'the cold store', () => {
          const whole = machine.isUp ? content : content.subarray(0, Math.floor(this.#scheduler.between(0, content.length)));
          this.#files.set(`${folder}/${name}`, Buffer.from(whole));
        }),
      remove: (path) => askedToChange(machine, this.faults, 'the cold store', () => void this.#files.delete(path)),
    };
  }

  /** Flips one bit of a random file. */
  corrupt(): void {
    const content = this.#files.get(this.#scheduler.pick([...this.#files.keys()]));
    if (!content || content.length === 0) return;
    const at = Math.floor(this.#scheduler.between(0, content.length));
    content[at] = (content[at] ?? 0) ^ (1 << Math.floor(this.#scheduler.between(0, 8)));
  }
}

/** The local disk of a machine: survives crashes, except for the end of the newest write. */
export class SimulatedDisk implements SpoolDisk {
  isFull = false;
  /** Whether all requests fail, or only writes. */
  failure: 'none' | 'io' | 'read-only' = 'none';
  readonly #files = new Map<string, Buffer>();
  readonly #texts = new Map<string, string>();
  readonly #scheduler: Scheduler;
  #newest: { name: string; at: number; length: number } | null = null;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  list(): string[] {
    return [...this.#files.keys()];
  }

  open(name: string): SpoolFile {
    if (!this.#files.has(name)) {
      this.#requireWorking(true);
      this.#requireRoom();
      this.#files.set(name, Buffer.alloc(0));
    }
    const content = () => this.#files.get(name) ?? Buffer.alloc(0);
    return {
      size: () => content().length,
      read: (at, length) => {
        this.#requireWorking(false);
        return Buffer.from(content().subarray(at, at + length));
      },
      write: (bytes, at) => {
        this.#requireWorking(true);
        // A full disk may store a part before it fails.
        const room = this.isFull ? Math.floor(this.#scheduler.between(0, bytes.length)) : bytes.length;
        this.#files.set(name, Buffer.concat([content().subarray(0, at), bytes.subarray(0, room)]));
        this.#requireRoom();
        this.#newest = { name, at, length: bytes.length };
      },
      close: () => {},
    };
  }

  remove(name: string): void {
    this.#requireWorking(true);
    this.#files.delete(name);
    this.#texts.delete(name);
  }

  readText(name: string): string | undefined {
    return this.#texts.get(name);
  }

  writeText(name: string, text: string): void {
    this.#requireWorking(true);
    this.#requireRoom();
    this.#texts.set(name, text);
  }

  /** A crash of the machine: the newest write is stored in part, or as garbage. */
  tear(): void {
    const content = this.#newest && this.#files.get(this.#newest.name);
    if (!this.#newest || !content) return;
    const { name, at, length } = this.#newest;
    if (at + length !== content.length) return;
    const kept = Math.floor(this.#scheduler.between(0, length));
    const isGarbled = this.#scheduler.chance(0.5);
    this.#files.set(name, Buffer.concat([content.subarray(0, at + kept), Buffer.alloc(isGarbled ? length - kept : 0)]));
  }

  /** Corrupts some bytes of a file. */
  garble(): void {
    const [name, content] = this.#scheduler.pick([...this.#files, ['', Buffer.alloc(0)] as const]);
    if (content.length === 0) return;
    const at = Math.floor(this.#scheduler.between(0, content.length));
    const garbled = Buffer.from(content);
    for (let offset = at; offset < Math.min(at + 6, content.length); offset++) garbled[offset] = this.#scheduler.between(0, 256);
    this.#files.set(name, garbled);
  }

  #requireWorking(isChange: boolean): void {
    if (this.failure === 'io') throw new Error('EIO: i/o error');
    if (this.failure === 'read-only' && isChange) throw new Error('EROFS: read-only file system');
  }

  #requireRoom(): void {
    if (this.isFull) throw new Error('ENOSPC: no space left on device');
  }
}

/** Maximum number of newest writes that a database loses at once. */
const UNDO_MAX = 20;

/**
 * A table in a database. Its rows and the offsets are committed together. Events of a zone are applied once, by the newest applied seq of the zone; a
 * skipped event is never applied later.
 */
export class SimulatedTable {
  readonly faults = noFaults();
  readonly marks = new Map<ZoneAddress, number>();
  readonly rows = new Map<ZoneAddress, string[]>();
  /** Skipped events: after `seq` of a zone came `next`. */
  readonly jumps: { zone: ZoneAddress; seq: number; next: number }[] = [];
  readonly #offsets = new Map<number, number>();
  /** Undo functions of the newest writes. */
  readonly #undo: (() => void)[] = [];

  for(machine: Machine): Projection {
    const ask = <T>(work: () => T) => asked(machine, this.faults, 'the database', work);
    return {
      name: 'table',
      offsets: () => ask(() => new Map(this.#offsets)),
      apply: (batches, read) => {
        const written = structuredClone(batches);
        return ask(() => {
          requireOffsets('table', this.#offsets, read);
          this.#remember();
          for (const batch of written) this.#write(batch);
          for (const { partition, next } of read) this.#offsets.set(partition, next);
        });
      },
    };
  }

  /** Loses its newest writes with their offsets, like a database that crashes before a flush, or a replica that takes over. */
  loseNewest(writes: number): void {
    for (const undo of this.#undo.splice(Math.max(0, this.#undo.length - writes)).reverse()) undo();
  }

  #remember(): void {
    const [marks, offsets, jumps] = [new Map(this.marks), new Map(this.#offsets), this.jumps.length];
    const lengths = new Map([...this.rows].map(([zone, { length }]) => [zone, length]));
    this.#undo.push(() => {
      this.marks.clear();
      for (const [zone, seq] of marks) this.marks.set(zone, seq);
      this.#offsets.clear();
      for (const [partition, next] of offsets) this.#offsets.set(partition, next);
      this.jumps.length = jumps;
      for (const [zone, rows] of this.rows) rows.length = lengths.get(zone) ?? 0;
    });
    if (this.#undo.length > UNDO_MAX) this.#undo.shift();
  }

  #write(batch: EventBatch): void {
    const mark = this.marks.get(batch.zone) ?? 0;
    const last = lastSeqOf(batch);
    if (last <= mark) return;
    if (batch.firstSeq > mark + 1) this.jumps.push({ zone: batch.zone, seq: mark, next: batch.firstSeq });
    const rows = this.rows.get(batch.zone) ?? [];
    this.rows.set(batch.zone, rows);
    for (const [index, event] of batch.events.entries())
      if (batch.firstSeq + index > mark) rows.push(`${batch.firstSeq + index} ${event.type}`);
    this.marks.set(batch.zone, last);
  }
}
