import { join } from 'node:path';
import type { SnapshotStore } from '@millrace/kernel';
import { type EventLog, openLmdbLog } from '@millrace/log';
import { type ColdStore, type LmdbSnapshots, openFileSnapshots, openLmdbSnapshots } from '@millrace/snapshots';

/** Folders of the LMDB stores of a topic, below the folder of the topic. */
export const STORE_FOLDERS = { log: 'log', hot: join('snapshots', 'hot') } as const;

/** Log and snapshots of the zones of a topic. Several processes may share them. */
export interface Stores {
  readonly log: EventLog;
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
  close(): Promise<void>;
}

/** Opens the stores of a topic in its folder; they are created when they do not exist. */
export function openStores(folder: string): Stores & { readonly hot: LmdbSnapshots; readonly cold: ColdStore } {
  const log = openLmdbLog(join(folder, STORE_FOLDERS.log));
  const hot = openLmdbSnapshots(join(folder, STORE_FOLDERS.hot));
  const cold = openFileSnapshots(join(folder, 'snapshots', 'cold'));
  return {
    log,
    hot,
    cold,
    close: async () => {
      await log.close();
      await hot.close();
    },
  };
}
