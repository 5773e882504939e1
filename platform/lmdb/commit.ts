/** Error of a write whose commit failed. A separate promise has the reason. */
interface CommitFailure extends Error {
  readonly commitError?: Promise<unknown>;
}

/**
 * Waits for a commit. Rejects with the reason of a failure: a full disk, an I/O error, a read-only file system. Then nothing of it is written, and the
 * next commit may succeed.
 * @param store name of the store, for the error
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

/** Ignores the failure of a write within a transaction: the caller that waits for the transaction gets it. */
export function partOfCommit(write: Promise<unknown>): void {
  write.catch(() => {});
}
