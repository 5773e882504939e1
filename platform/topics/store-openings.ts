import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openedBy } from '@millrace/lmdb';
import type { EventLog } from '@millrace/log';
import type { LmdbSnapshots } from '@millrace/snapshots';
import { STORE_FOLDERS } from './stores.ts';

/* The server and its child processes share LMDB stores. A process may open a store only while no process writes to it; the server ensures this. */

/** Message of a child process that is ready to open the stores. */
export type OpenStoreRequest = { readonly type: 'wants-to-open' };
/** Message to a child process that it may open a store now. */
export type OpenStorePermit = { readonly type: 'may-open' };

interface SharedStores {
  readonly log: Pick<EventLog, 'pauseWrites'>;
  readonly hot: Pick<LmdbSnapshots, 'pauseWrites'>;
}

/** Lets child processes open shared stores, one process at a time, while writes are paused. */
export class StoreOpenings {
  readonly #data: string;
  readonly #stores: SharedStores;
  readonly #onFailure: (error: unknown) => void;
  /** Whether the log is on this machine. If not, its index is, which only processes with zones open. */
  readonly #isLogLocal: boolean;
  /** Resolves when the last queued process has opened its stores. */
  #lastOpening: Promise<void> = Promise.resolve();

  constructor(data: string, stores: SharedStores, onFailure: (error: unknown) => void, isLogLocal = true) {
    this.#isLogLocal = isLogLocal;
    this.#data = data;
    this.#stores = stores;
    this.#onFailure = onFailure;
  }

  /**
   * Queues a process to open the log, or the log and then the hot snapshots. Kills the process when it takes too long.
   * @param mayOpen tells the process that it may open the store
   */
  next(pid: number, which: 'log' | 'log and hot', mayOpen: () => void): void {
    const { log, hot } = this.#stores;
    const openLog = async () => {
      if (!this.#isLogLocal && which === 'log') return mayOpen();
      await log.pauseWrites(async () => {
        const store = this.#isLogLocal ? STORE_FOLDERS.log : STORE_FOLDERS.index;
        const isThere = existsSync(join(this.#data, store, 'data.mdb'));
        mayOpen();
        if (isThere) await this.#opened(pid, store);
      });
    };
    const openBoth = () =>
      hot.pauseWrites(async () => {
        await openLog();
        await this.#opened(pid, STORE_FOLDERS.hot);
      });
    this.#lastOpening = this.#lastOpening.then(which === 'log' ? openLog : openBoth).catch(this.#onFailure);
  }

  async #opened(pid: number, which: string): Promise<void> {
    if (await openedBy(pid, join(this.#data, which))) return;
    // Writes continue after this: the process must not open the store any more.
    process.kill(pid, 'SIGKILL');
    throw new Error(`process ${pid} took too long to open the store "${which}" and was killed`);
  }
}
