import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Snapshot, SnapshotLabel, SnapshotStore, ZoneAddress } from '@millrace/kernel';
import { Packr } from 'msgpackr';
import { type SnapshotFiles, zstdFiles } from './snapshot-files.ts';

const MAGIC = Buffer.from('MRS1');
const HASH_BYTES = 32;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export interface ColdStore extends SnapshotStore {
  /** Zones that have, or had, a snapshot. */
  zones(): Promise<ZoneAddress[]>;
  /** Recomputes a snapshot’s checksum; throws with what is wrong. */
  verify(label: SnapshotLabel): Promise<void>;
}

/**
 * Cold snapshots as files, one folder a zone: MessagePack, zstd, SHA-256. A file is written aside, synced and renamed,
 * so it is whole or not there. Kept: everything of the last hour, then one an hour for two days, one a day for a month,
 * and always the newest two.
 */
export function openFileSnapshots(folder: string, files: SnapshotFiles = zstdFiles): ColdStore {
  return new FileSnapshots(folder, files);
}

class FileSnapshots implements ColdStore {
  readonly #folder: string;
  readonly #files: SnapshotFiles;
  readonly #packr = new Packr();

  constructor(folder: string, files: SnapshotFiles) {
    this.#folder = folder;
    this.#files = files;
  }

  async save(snapshot: Snapshot): Promise<void> {
    const body = await this.#files.compress(this.#packr.pack(snapshot));
    const content = Buffer.concat([MAGIC, createHash('sha256').update(body).digest(), body]);
    await this.#files.write(this.#folderOf(snapshot.zone), nameOf(snapshot), content);
    await this.#prune(snapshot.zone, snapshot.time);
  }

  async zones(): Promise<ZoneAddress[]> {
    const names = await this.#files.list(this.#folder);
    // Anything else in that folder is not ours: an address has a slash.
    return names.filter((name) => name.includes('%2F')).map((name) => decodeURIComponent(name));
  }

  async list(zone: ZoneAddress): Promise<SnapshotLabel[]> {
    const labels = (await this.#files.list(this.#folderOf(zone))).map((name) => labelOf(zone, name)).filter((label) => label !== undefined);
    return labels.sort((a, b) => b.epoch - a.epoch || b.seq - a.seq || b.time - a.time);
  }

  async load(label: SnapshotLabel): Promise<Snapshot> {
    return this.#packr.unpack(await this.#files.decompress(await this.#body(label))) as Snapshot;
  }

  async verify(label: SnapshotLabel): Promise<void> {
    await this.#body(label);
  }

  async #body(label: SnapshotLabel): Promise<Buffer> {
    const path = join(this.#folderOf(label.zone), nameOf(label));
    const content = await this.#files.read(path);
    const start = MAGIC.length + HASH_BYTES;
    if (content.length < start || !content.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error(`${path} is no snapshot file`);
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
