import { statfsSync } from 'node:fs';

/** Error of a write whose commit failed. A separate promise has the reason. */
interface CommitFailure extends Error {
  readonly commitError?: Promise<unknown>;
}

const MIB = 1024 * 1024;
/** Free space that writes leave on the disk of a store, bytes: more than a commit needs. */
export const RESERVED_BYTES = 16 * MIB;

/**
 * Commits to a store, with the reason of each failure: a full disk, an I/O error, a read-only file system. After a failure nothing of the write is
 * stored, and the next commit may succeed.
 *
 * No commit is begun that could fill the disk. When lmdb 3.5 cannot write a page, it formats the message of the error into a buffer of 100 bytes that may
 * be too short (`mdb_page_flush` in mdb.c), which damages the memory of the process and ends it.
 */
export class StoreWriter {
  readonly #store: string;
  readonly #folder: string;

  /**
   * @param store name of the store, for errors
   * @param folder folder of the store
   */
  constructor(store: string, folder: string) {
    this.#store = store;
    this.#folder = folder;
  }

  /**
   * @param begin begins the write
   * @param bytes size of the write if it may be more than a few MiB
   * @throws with the name of the store and the reason
   */
  async commit<T>(begin: () => Promise<T>, bytes = 0): Promise<T> {
    checkSpace(this.#store, this.#folder, bytes);
    try {
      return await begin();
    } catch (error) {
      const { commitError } = error as CommitFailure;
      if (!commitError) throw error;
      const reason = await commitError.then(
        () => error,
        (cause) => cause,
      );
      throw failureOf(this.#store, (reason as Error).message, reason);
    }
  }
}

/**
 * Refuses a write that could fill the disk.
 * @param store name of the store, for the error
 * @param folder a folder on its disk
 * @param bytes size of the write if it may be more than a few MiB
 * @throws with the free space and the space that the write needs
 */
export function checkSpace(store: string, folder: string, bytes = 0): void {
  const { bavail, bsize, blocks } = statfsSync(folder);
  // Some file systems report no sizes.
  if (blocks === 0) return;
  const free = bavail * bsize;
  const needed = RESERVED_BYTES + bytes;
  if (free >= needed) return;
  throw failureOf(
    store,
    `no space left on device: ${Math.floor(free / MIB)} MiB are free on the disk of ${folder}, and a write needs ${Math.ceil(needed / MIB)} MiB. Make room on it`,
  );
}

function failureOf(store: string, reason: string, cause?: unknown): Error {
  return new Error(`${store} cannot be written: ${reason}`, { cause });
}

/** Ignores the failure of a write within a transaction: the caller that waits for the transaction gets it. */
export function partOfCommit(write: Promise<unknown>): void {
  write.catch(() => {});
}
