import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Key, open, type RootDatabase, type RootDatabaseOptions } from 'lmdb';
import { checkSpace } from './commit.ts';
import { PageDamaged, PageFile } from './pages.ts';

const DATA_FILE = 'data.mdb';

/**
 * Opens an LMDB store that several processes write to, any of which may be killed at any moment. If other processes write, open it within `pauseWrites`.
 * Each commit is flushed within its transaction: with `overlappingSync`, lmdb 3.5 flushes under a second lock. When a process dies that holds it, the next
 * one sets the number of the newest transaction without being the writer, which may undo a commit of a third process.
 * @param folder folder of `data.mdb`, created if missing
 * @throws when there is no store yet, and its creation could fill the disk
 */
export function openShared<Value = unknown, ByKey extends Key = Key>(
  folder: string,
  options: Omit<RootDatabaseOptions, 'path'> = {},
): RootDatabase<Value, ByKey> {
  const path = join(folder, DATA_FILE);
  if (existsSync(path) && statSync(path).size > 0) goBackToFlushed(path);
  else {
    mkdirSync(folder, { recursive: true });
    checkSpace('a new store', folder);
  }
  return open<Value, ByKey>({ path: folder, ...options, overlappingSync: false, eventTurnBatching: false, noSubdir: false });
}

/**
 * Runs work while no process writes to a store. Only then may another process open it: on opening, lmdb 3.5 reads the number of the newest transaction
 * from the file, and writes it to the shared transaction counter a moment later (`mdb_env_open2` in mdb.c). A commit in between would be undone, and its
 * pages used twice.
 */
export function pauseWrites(root: Transacting, work: () => Promise<void>): Promise<void> {
  return inTransaction(root, work);
}

type Transacting = Pick<RootDatabase, 'transaction'>;

/** Transactions of this process that have not ended. */
const openTransactions = new Set<Promise<unknown>>();

/**
 * Runs work in a transaction of a shared store. Meanwhile a thread of lmdb holds the writer lock and waits for the work. If the process ended now, by
 * `process.exit` or an uncaught error, it would wait for that thread forever, and block all other writers. So it is then ended by SIGKILL, which also
 * ends the transaction.
 */
export async function inTransaction<T>(store: Transacting, work: () => T): Promise<Awaited<T>> {
  if (!process.listeners('exit').includes(endAtOnce)) process.on('exit', endAtOnce);
  const transaction = store.transaction(work);
  openTransactions.add(transaction);
  try {
    return await transaction;
  } finally {
    openTransactions.delete(transaction);
  }
}

/**
 * Waits until this process has no open transaction of a shared store, so that `process.exit` does not kill it.
 * @param msMax resolves after this time in any case
 */
export async function transactionsEnded(msMax: number): Promise<void> {
  const deadline = AbortSignal.timeout(msMax);
  while (openTransactions.size > 0 && !deadline.aborted)
    await Promise.race([Promise.allSettled(openTransactions), once(deadline, 'abort')]);
}

function endAtOnce(): void {
  if (openTransactions.size === 0) return;
  try {
    writeSync(
      process.stderr.fd,
      'The process ended while it wrote to a store that others share, so it is killed: its exit status is that of SIGKILL.\n',
    );
  } finally {
    process.kill(process.pid, 'SIGKILL');
  }
}

const POLL_MS = 2;
const OPENING_MS_MAX = 5_000;
/** Fixed wait on systems without /proc, ms. */
const OPENING_MS = 100;
/** Access mode in the flags of an open file (`O_ACCMODE`). */
const ACCESS_MODE = 0o3;
const WRITE_ONLY = 0o1;

/**
 * Waits until another process has opened a store. That process then waits for the end of `pauseWrites`, because it begins with a write. LMDB opens the
 * data file a second time, write-only, after it has set the number of the newest transaction. The first descriptor proves nothing: child processes of a
 * process with an open store inherit it.
 * @param pid id of that process
 * @param longestMs time limit, ms
 * @returns false after the time limit: then kill the process before others write again. True also when the process has ended
 */
export async function openedBy(pid: number, folder: string, longestMs = OPENING_MS_MAX): Promise<boolean> {
  if (!existsSync('/proc/self/fdinfo')) {
    await new Promise((later) => setTimeout(later, OPENING_MS));
    return true;
  }
  const path = join(realpathSync(folder), DATA_FILE);
  const deadline = performance.now() + longestMs;
  while (!hasOpened(pid, path)) {
    if (performance.now() > deadline) return false;
    await new Promise((next) => setTimeout(next, POLL_MS));
  }
  return true;
}

/** @returns true also when the process has ended */
function hasOpened(pid: number, path: string): boolean {
  const of = `/proc/${pid}`;
  try {
    return readdirSync(join(of, 'fd')).some((number) => linkOf(join(of, 'fd', number)) === path && isWriteOnly(join(of, 'fdinfo', number)));
  } catch {
    return true;
  }
}

function isWriteOnly(info: string): boolean {
  try {
    const flags = /^flags:\s*(\d+)/m.exec(readFileSync(info, 'utf8'))?.[1] ?? '0';
    return (Number.parseInt(flags, 8) & ACCESS_MODE) === WRITE_ONLY;
  } catch {
    // Closed meanwhile.
    return false;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // Closed meanwhile.
    return '';
  }
}

/**
 * Resets a store to its last flushed transaction, if needed. Earlier versions wrote with `overlappingSync`. After a power cut the newest transactions of
 * such a store may point to pages that were not written. LMDB with that option goes back by itself; without it the meta pages have to be rewritten.
 */
function goBackToFlushed(path: string): void {
  let pages: readonly { readonly at: number; readonly bytes: Buffer }[] = [];
  const file = new PageFile(path);
  try {
    pages = file.flushedMetas();
  } catch (error) {
    // The check of the store reports damage, with a remedy.
    if (!(error instanceof PageDamaged)) throw error;
  } finally {
    file.close();
  }
  if (pages.length === 0) return;
  const writable = openSync(path, 'r+');
  for (const { at, bytes } of pages) writeSync(writable, bytes, 0, bytes.length, at);
  fsyncSync(writable);
  closeSync(writable);
}
