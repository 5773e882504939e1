import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { type EventBatch, lastSeqOf, type Snapshot, type SnapshotLabel, type SnapshotStore, type ZoneAddress } from '@millrace/kernel';
import { type Projection, requireOffsets, type SpoolDisk, type SpoolFile } from '@millrace/log';
import type { SnapshotFiles } from '@millrace/snapshots';
import type { Machine, Scheduler } from './scheduler.ts';
import { asked, askedToChange, noFaults } from './service-faults.ts';

/** Hot snapshots in the memory of another machine. */
export class SimulatedHotStore {
  readonly faults = noFaults();
  #snapshots: Snapshot[] = [];

  for(machine: Machine): SnapshotStore {
    const ask = <T>(work: () => T) => asked(machine, this.faults, 'the hot store', work);
    return {
      save: async (snapshot, recorded) => {
        const captured = structuredClone(snapshot);
        await recorded;
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
        const after = content().subarray(at + bytes.length);
        if (after.length > 0) {
          // Within the file: a few bytes, which are written together. They need no room.
          this.#files.set(name, Buffer.concat([content().subarray(0, at), bytes, after]));
          return;
        }
        // A full disk may store a part before it fails.
        const room = this.isFull ? Math.floor(this.#scheduler.between(0, bytes.length)) : bytes.length;
        this.#files.set(name, Buffer.concat([content().subarray(0, at), bytes.subarray(0, room)]));
        this.#requireRoom();
        if (isSegment(name)) this.#newest = { name, at, length: bytes.length };
      },
      close: () => {},
    };
  }

  remove(name: string): void {
    this.#requireWorking(true);
    this.#files.delete(name);
  }

  rename(from: string, to: string): void {
    this.#requireWorking(true);
    const content = this.#files.get(from);
    if (!content) throw new Error(`ENOENT: no file ${from}`);
    this.#files.set(to, content);
    this.#files.delete(from);
  }

  readText(name: string): string | undefined {
    return this.#files.get(name)?.toString();
  }

  writeText(name: string, text: string): void {
    this.#requireWorking(true);
    this.#requireRoom();
    this.#files.set(name, Buffer.from(text));
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

  /** Corrupts some bytes of a segment. */
  garble(): void {
    const segments = [...this.#files].filter(([name]) => isSegment(name));
    const [name, content] = this.#scheduler.pick([...segments, ['', Buffer.alloc(0)] as const]);
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
    if (this.isFull) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  }
}

/** Whether a file of a spool has batches, also damaged ones. */
function isSegment(name: string): boolean {
  return name.includes('.spool');
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
