import { createHash } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import type { Snapshot, SnapshotLabel, SnapshotStore, ZoneAddress } from '@millrace/kernel';
import { Packr } from 'msgpackr';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

const MAGIC = Buffer.from('MRS1');
const HASH_BYTES = 32;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export interface ColdStore extends SnapshotStore {
  /** Recomputes a snapshot’s checksum; throws with what is wrong. */
  verify(label: SnapshotLabel): Promise<void>;
}

/**
 * Cold snapshots as files, one folder a zone: MessagePack, zstd, SHA-256. A file is written aside, synced and renamed,
 * so it is whole or not there. Kept: everything of the last hour, then one an hour for two days, one a day for a month,
 * and always the newest two.
 */
export function openFileSnapshots(folder: string): ColdStore {
  mkdirSync(folder, { recursive: true });
  return new FileSnapshots(folder);
}

class FileSnapshots implements ColdStore {
  readonly #folder: string;
  readonly #packr = new Packr();

  constructor(folder: string) {
    this.#folder = folder;
  }

  async save(snapshot: Snapshot): Promise<void> {
    const packed = this.#packr.pack(snapshot);
    const body = await compress(packed);
    const folder = this.#folderOf(snapshot.zone);
    mkdirSync(folder, { recursive: true });
    const path = join(folder, nameOf(snapshot));
    const aside = `${path}.part`;
    const file = await open(aside, 'w');
    try {
      await file.writev([MAGIC, createHash('sha256').update(body).digest(), body]);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
    await this.#prune(snapshot.zone, snapshot.time);
  }

  async list(zone: ZoneAddress): Promise<SnapshotLabel[]> {
    const folder = this.#folderOf(zone);
    if (!existsSync(folder)) return [];
    const labels = (await readdir(folder)).map((name) => labelOf(zone, name)).filter((label) => label !== undefined);
    return labels.sort((a, b) => b.epoch - a.epoch || b.seq - a.seq || b.time - a.time);
  }

  async load(label: SnapshotLabel): Promise<Snapshot> {
    return this.#packr.unpack(await decompress(await this.#body(label))) as Snapshot;
  }

  async verify(label: SnapshotLabel): Promise<void> {
    await this.#body(label);
  }

  async #body(label: SnapshotLabel): Promise<Buffer> {
    const path = join(this.#folderOf(label.zone), nameOf(label));
    const content = await readFile(path);
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
      if (!keep) await rm(join(this.#folderOf(zone), nameOf(label)), { force: true });
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
