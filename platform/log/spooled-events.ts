import { existsSync } from 'node:fs';
import type { EventBatch, ZoneAddress } from '@millrace/kernel';
import { openSpool } from './spool.ts';
import { diskOf } from './spool-disk.ts';

/** Number of events that are read at a time. */
const CHUNK_EVENTS = 512;

/** The events of a spool that no host has open. */
export interface SpooledEvents {
  readonly zones: ReadonlySet<ZoneAddress>;
  /** Oldest first. */
  ofZone(zone: ZoneAddress): EventBatch[];
  close(): void;
}

/**
 * Reads a spool, and removes nothing from it. Keeps the events of one zone at most in memory: a spool may be as large as its quota.
 * @param onDamage called for each damaged record, which is left out
 * @returns undefined for a missing folder
 */
export function readSpool(folder: string, onDamage: (message: string) => void): SpooledEvents | undefined {
  if (!existsSync(folder)) return undefined;
  const disk = { ...diskOf(folder), remove: () => {}, writeText: () => {} };
  const zones = new Set<ZoneAddress>();
  const all = openSpool(disk, Number.POSITIVE_INFINITY);
  for (let batches = all.oldest(CHUNK_EVENTS); batches.length > 0; batches = all.oldest(CHUNK_EVENTS)) {
    for (const { zone } of batches) zones.add(zone);
    all.drop(batches.length);
  }
  all.close();
  const spool = openSpool(disk, Number.POSITIVE_INFINITY, onDamage);
  return { zones, ofZone: (zone) => spool.ofZone(zone), close: () => spool.close() };
}
