import type { Snapshot, SnapshotLabel, SnapshotStore, ZoneAddress } from '@millrace/kernel';
import { partOfCommit, StoreWriter } from '@millrace/lmdb/commit';
import { openShared, pauseWrites } from '@millrace/lmdb/open-shared';
import type { Database } from 'lmdb';
import { Packr } from 'msgpackr';
import type { AcceptSnapshot } from './file-snapshots.ts';

/** Retention of hot snapshots. Saving a snapshot of a zone deletes the zone’s older ones. */
const KEEP_MS = 5 * 60_000;

type Key = [zone: ZoneAddress, epoch: number, seq: number, time: number];

/** A store of hot snapshots. */
export interface LmdbSnapshots extends SnapshotStore {
  /** Zones that have a snapshot. */
  zones(): ZoneAddress[];
  /** Blocks writes of every process while `work` runs. Another process may open the store only during that time. */
  pauseWrites(work: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a store of hot snapshots in an LMDB file: writes at memory speed that survive a crash of the process.
 * @param accept called for each snapshot that is loaded
 */
export function openLmdbSnapshots(folder: string, accept: AcceptSnapshot = async () => {}): LmdbSnapshots {
  const packr = new Packr();
  const entries: Database<Buffer, Key> = openShared(folder, { encoding: 'binary' });
  const writer = new StoreWriter('the hot snapshots', folder);
  const keysOf = (zone: ZoneAddress): Key[] => [...entries.getKeys({ start: [zone, 0, 0, 0], end: [zone, Number.MAX_SAFE_INTEGER, 0, 0] })];
  const labelOf = ([zone, epoch, seq, time]: Key): SnapshotLabel => ({ zone, seq, epoch, time });

  return {
    async save(snapshot, recorded) {
      const { zone, epoch, seq, time } = snapshot;
      // A copy: the encoder may use its buffer again before the log has the events.
      const content = Buffer.from(packr.pack(snapshot));
      await recorded;
      const old = keysOf(zone).filter(([, , , at]) => at < time - KEEP_MS);
      await writer.commit(() => {
        for (const key of old) partOfCommit(entries.remove(key));
        return entries.put([zone, epoch, seq, time], content);
      }, content.length);
    },
    async list(zone) {
      return keysOf(zone).reverse().map(labelOf);
    },
    async load({ zone, seq, epoch, time }) {
      const content = entries.get([zone, epoch, seq, time]);
      if (!content) throw new Error(`The hot snapshot of ${zone} at seq ${seq} does not exist.`);
      const snapshot = packr.unpack(content) as Snapshot;
      await accept(snapshot);
      return snapshot;
    },
    zones: () => [...new Set([...entries.getKeys()].map(([zone]) => zone))],
    pauseWrites: (work) => pauseWrites(entries, work),
    close: () => entries.close(),
  };
}
