/** What lmdb rejects a write with when its commit failed: the reason comes by a promise of its own. */
interface CommitFailure extends Error {
  readonly commitError?: Promise<unknown>;
}

/**
 * A commit, with its reason when it fails: a full disk, an I/O error, a file system that is read-only. Nothing of it is
 * written then, and the next commit may succeed.
 * @param store what is written, for the error
 */
export async function committed<T>(store: string, commit: Promise<T>): Promise<T> {
  try {
    return await commit;
  } catch (error) {
    const { commitError } = error as CommitFailure;
    if (!commitError) throw error;
    const reason = await commitError.then(
      () => error,
      (cause) => cause,
    );
    throw new Error(`${store} cannot be written: ${(reason as Error).message}`, { cause: reason });
  }
}

/** A write within a transaction: it is the transaction that succeeds or fails, and whoever waits for that is told. */
export function partOfCommit(write: Promise<unknown>): void {
  write.catch(() => {});
}
