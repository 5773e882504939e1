import { join } from 'node:path';
import type { SnapshotStore } from '@millrace/kernel';
import { type EventLog, type LmdbLog, openLmdbLog, type ShardPlacement } from '@millrace/log';
import { type ColdStore, type LmdbSnapshots, openFileSnapshots, openLmdbSnapshots } from '@millrace/snapshots';
import { requireRecorded } from './earlier-snapshots.ts';

/** Folders of the LMDB stores of a topic, below the folder of the topic. */
export const STORE_FOLDERS = { log: 'log', hot: join('snapshots', 'hot') } as const;

/** Log and snapshots of the zones of a topic. Several processes may share them. */
export interface Stores {
  readonly log: EventLog;
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
  close(): Promise<void>;
}

/** The stores of a topic on this machine. */
export type LocalStores = Stores & { readonly log: LmdbLog; readonly hot: LmdbSnapshots; readonly cold: ColdStore };

/** Opens the stores of a topic in its folder; they are created when they do not exist. @param placement of its zones on shards; default: by partition */
export function openStores(folder: string, placement?: ShardPlacement): LocalStores {
  const log = openLmdbLog(join(folder, STORE_FOLDERS.log), placement);
  const accept = requireRecorded(log);
  const hot = openLmdbSnapshots(join(folder, STORE_FOLDERS.hot), accept);
  const cold = openFileSnapshots(join(folder, 'snapshots', 'cold'), undefined, accept);
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
