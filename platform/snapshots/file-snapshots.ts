import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Snapshot, SnapshotLabel, SnapshotStore, ZoneAddress } from '@millrace/kernel';
import { Packr } from 'msgpackr';
import { type SnapshotFiles, zstdFiles } from './snapshot-files.ts';

const MAGIC = Buffer.from('MRS1');
const HASH_BYTES = 32;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Checks a snapshot that was loaded. Rejects with the reason when it cannot be used. */
export type AcceptSnapshot = (snapshot: Snapshot) => Promise<void>;

/** A store of cold snapshots. */
export interface ColdStore extends SnapshotStore {
  /** Zones that have or had a snapshot. */
  zones(): Promise<ZoneAddress[]>;
  /** Verifies the checksum of a snapshot. @throws Error with the path and the reason */
  verify(label: SnapshotLabel): Promise<void>;
}

/**
 * Opens a store of cold snapshots: files in one folder per zone, as MessagePack with zstd and SHA-256. Each file is written under a temporary name,
 * synced and renamed, so no incomplete file is visible. Retention: all of the last hour, then hourly for two days, daily for 30 days, and always the
 * newest two.
 * @param accept called for each snapshot that is loaded
 */
export function openFileSnapshots(folder: string, files: SnapshotFiles = zstdFiles, accept: AcceptSnapshot = async () => {}): ColdStore {
  return new FileSnapshots(folder, files, accept);
}

class FileSnapshots implements ColdStore {
  readonly #folder: string;
  readonly #files: SnapshotFiles;
  readonly #packr = new Packr();
  readonly #accept: AcceptSnapshot;

  constructor(folder: string, files: SnapshotFiles, accept: AcceptSnapshot) {
    this.#folder = folder;
    this.#files = files;
    this.#accept = accept;
  }

  async save(snapshot: Snapshot, recorded?: Promise<void>): Promise<void> {
    // A copy: the encoder may use its buffer again before the log has the events.
    const content = Buffer.from(this.#packr.pack(snapshot));
    await recorded;
    await this.#store(snapshot, content);
  }

  async #store(snapshot: SnapshotLabel, packed: Buffer): Promise<void> {
    const body = await this.#files.compress(packed);
    const content = Buffer.concat([MAGIC, createHash('sha256').update(body).digest(), body]);
    await this.#files.write(this.#folderOf(snapshot.zone), nameOf(snapshot), content);
    await this.#prune(snapshot.zone, snapshot.time);
  }

  async zones(): Promise<ZoneAddress[]> {
    const names = await this.#files.list(this.#folder);
    // Other names in the folder are not zones: the address of a zone has a slash.
    return names.filter((name) => name.includes('%2F')).map((name) => decodeURIComponent(name));
  }

  async list(zone: ZoneAddress): Promise<SnapshotLabel[]> {
    const labels = (await this.#files.list(this.#folderOf(zone))).map((name) => labelOf(zone, name)).filter((label) => label !== undefined);
    return labels.sort((a, b) => b.epoch - a.epoch || b.seq - a.seq || b.time - a.time);
  }

  async load(label: SnapshotLabel): Promise<Snapshot> {
    const snapshot = this.#packr.unpack(await this.#files.decompress(await this.#body(label))) as Snapshot;
    await this.#accept(snapshot);
    return snapshot;
  }

  async verify(label: SnapshotLabel): Promise<void> {
    await this.#body(label);
  }

  async #body(label: SnapshotLabel): Promise<Buffer> {
    const path = join(this.#folderOf(label.zone), nameOf(label));
    const content = await this.#files.read(path);
    const start = MAGIC.length + HASH_BYTES;
    if (content.length < start || !content.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error(`${path} is not a snapshot file`);
    const body = content.subarray(start);
    if (!createHash('sha256').update(body).digest().equals(content.subarray(MAGIC.length, start)))
      throw new Error(`${path} is damaged: its checksum differs`);
    return body;
  }

  async #prune(zone: ZoneAddress, now: number): Promise<void> {
    const labels = await this.list(zone);
    const seen = new Set<string>();
    for (const [index, label] of labels.entries()) {
      const age = now - label.time;
      const slot =
        age < HOUR_MS
          ? `t${label.time}`
          : age < 2 * DAY_MS
            ? `h${Math.floor(label.time / HOUR_MS)}`
            : `d${Math.floor(label.time / DAY_MS)}`;
      const keep = index < 2 || (age < 30 * DAY_MS && !seen.has(slot));
      seen.add(slot);
      if (!keep) await this.#files.remove(join(this.#folderOf(zone), nameOf(label)));
    }
  }

  #folderOf(zone: ZoneAddress): string {
    return join(this.#folder, encodeURIComponent(zone));
  }
}

function nameOf({ seq, epoch, time }: SnapshotLabel): string {
  return `${seq}-${epoch}-${Math.floor(time)}.snapshot`;
}

function labelOf(zone: ZoneAddress, name: string): SnapshotLabel | undefined {
  const match = /^(\d+)-(\d+)-(\d+)\.snapshot$/.exec(name);
  return match ? { zone, seq: Number(match[1]), epoch: Number(match[2]), time: Number(match[3]) } : undefined;
}
