import { join } from 'node:path';
import { openedBy } from '@millrace/lmdb';
import type { EventLog } from '@millrace/log';
import type { LmdbSnapshots } from '@millrace/snapshots';
import { STORE_FOLDERS } from './stores.ts';

/* Stores that the server and its processes share are opened by a process only while nobody writes to them, which the server sees to. */

export type FromOpening = { readonly type: 'wants-to-open' };
export type MayOpen = { readonly type: 'may-open' };

interface SharedStores {
  readonly log: Pick<EventLog, 'pauseWrites'>;
  readonly hot: Pick<LmdbSnapshots, 'pauseWrites'>;
}

/** Lets processes open stores, one at a time. */
export class Opening {
  readonly #data: string;
  readonly #stores: SharedStores;
  readonly #onFailure: (error: unknown) => void;
  #before: Promise<void> = Promise.resolve();

  constructor(data: string, stores: SharedStores, onFailure: (error: unknown) => void) {
    this.#data = data;
    this.#stores = stores;
    this.#onFailure = onFailure;
  }

  /**
   * Lets a process open the log, or the log and then the hot snapshots.
   * @param mayOpen tells it so
   */
  next(pid: number, which: 'log' | 'log and hot', mayOpen: () => void): void {
    const { log, hot } = this.#stores;
    const openLog = () =>
      log.pauseWrites(() => {
        mayOpen();
        return this.#opened(pid, STORE_FOLDERS.log);
      });
    const openBoth = () =>
      hot.pauseWrites(async () => {
        await openLog();
        await this.#opened(pid, STORE_FOLDERS.hot);
      });
    this.#before = this.#before.then(which === 'log' ? openLog : openBoth).catch(this.#onFailure);
  }

  async #opened(pid: number, which: string): Promise<void> {
    if (await openedBy(pid, join(this.#data, which))) return;
    // It may not open the store any more: others are about to write.
    process.kill(pid, 'SIGKILL');
    throw new Error(`process ${pid} took too long to open ${which}, so it was ended`);
  }
}
