import { existsSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { EventBatch, ZoneAddress } from '@millrace/kernel';
import { openSpool } from './spool.ts';
import { diskOf, partOf, type SpoolDisk } from './spool-disk.ts';
import { ownersIn } from './spools.ts';
import type { WrittenBatch } from './written-batch.ts';

/** Number of events that are read at a time. */
const CHUNK_EVENTS = 512;

/** The events of a spool that no host has open. */
export interface SpooledEvents {
  readonly zones: ReadonlySet<ZoneAddress>;
  /** Oldest first. */
  ofZone(zone: ZoneAddress): WrittenBatch[];
  close(): void;
}

/**
 * Reads the spools in a folder, and removes nothing from them: of each shard, and one of an earlier version. Keeps the events of one zone at most in memory:
 * a spool may be as large as its quota.
 * @param onDamage called for each damaged record, which is left out
 */
export function readSpools(folder: string, onDamage: (message: string) => void): SpooledEvents[] {
  if (!existsSync(folder)) return [];
  const disk: SpoolDisk = { ...diskOf(folder), remove: () => {}, rename: () => {}, writeText: () => {} };
  const shards = [...ownersIn(disk)].map(([, owners]) => ofShard(owners.map((prefix) => readOne(partOf(disk, prefix), onDamage))));
  return [readOne(disk, onDamage), ...shards];
}

/** Renames the spools of all shards in a folder, because a repaired log has their events. */
export function setSpoolsAside(folder: string): void {
  for (const name of existsSync(folder) ? readdirSync(folder) : [])
    if (name.startsWith('shard-') && name.endsWith('.spool')) renameSync(join(folder, name), join(folder, `${name}.restored`));
}

interface OneSpool extends SpooledEvents {
  /** Highest epoch of the owners that decided its events. */
  readonly epoch: number;
}

function readOne(disk: SpoolDisk, onDamage: (message: string) => void): OneSpool {
  const zones = new Set<ZoneAddress>();
  let epoch = 0;
  // Each damaged record is reported once.
  const all = openSpool(disk, Number.POSITIVE_INFINITY, onDamage);
  for (let batches = all.oldest(CHUNK_EVENTS); batches.length > 0; batches = all.oldest(CHUNK_EVENTS)) {
    for (const batch of batches) {
      zones.add(batch.zone);
      epoch = Math.max(epoch, batch.epoch);
    }
    all.drop(batches.length);
  }
  all.close();
  const spool = openSpool(disk, 0);
  return { zones, epoch, ofZone: (zone) => spool.ofZone(zone), close: () => spool.close() };
}

/** What the owners of a shard have left: the newest of them was to write all of it. */
function ofShard(owners: readonly OneSpool[]): SpooledEvents {
  const oldestFirst = [...owners].sort((one, other) => one.epoch - other.epoch);
  const writer = oldestFirst.at(-1)?.epoch ?? 0;
  return {
    zones: new Set(owners.flatMap(({ zones }) => [...zones])),
    ofZone: (zone) => oldestFirst.flatMap((one) => one.ofZone(zone)).map((batch: EventBatch) => ({ ...batch, writer })),
    close: () => {
      for (const one of owners) one.close();
    },
  };
}
