import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  fsyncSync,
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
import { PageDamaged, PageFile } from './pages.ts';

const DATA_FILE = 'data.mdb';

/**
 * Opens an LMDB store that several processes write to, any of which may be killed at any moment; while others write, see `pauseWrites`. Each commit is flushed within its transaction: with
 * `overlappingSync` lmdb 3.5 flushes under a second lock, and when a process dies that holds it, the next one sets the number of the newest transaction
 * without being the writer; a commit of a third process may then be undone.
 * @param folder where `data.mdb` is, made if missing
 */
export function openShared<Value = unknown, ByKey extends Key = Key>(
  folder: string,
  options: Omit<RootDatabaseOptions, 'path'> = {},
): RootDatabase<Value, ByKey> {
  goBackToFlushed(folder);
  return open<Value, ByKey>({ path: folder, ...options, overlappingSync: false, eventTurnBatching: false, noSubdir: false });
}

/**
 * Does something while no process writes to a store. Only then may another process open it: lmdb 3.5 reads the newest transaction's number from the file
 * when it opens it, and writes it a moment later where all processes count their transactions (`mdb_env_open2` in mdb.c). A commit in between would be
 * undone, and its pages used twice.
 */
export function pauseWrites(root: Transacting, work: () => Promise<void>): Promise<void> {
  return inTransaction(root, work);
}

type Transacting = Pick<RootDatabase, 'transaction'>;

/** Transactions of this process that wait for their work, or whose work has not ended. */
const openTransactions = new Set<Promise<unknown>>();

/**
 * Does something in a transaction of a store that processes share. While it runs in this thread a thread of lmdb’s has the writer's lock and waits for
 * it; were the process to end now, by `process.exit` or an uncaught error, it would wait for that thread for ever, and keep all others from writing. So
 * it is ended by SIGKILL then, and the transaction with it.
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
 * Waits until this process may call `process.exit` without being killed: until it has no open transaction of a shared store.
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

const LOOK_MS = 2;
const OPENING_MS_MAX = 5_000;
/** Where no system says how a process has files open, this is waited. */
const OPENING_MS = 100;
/** In the flags of an open file (`O_ACCMODE`): it is for writing only. */
const ACCESS_MODE = 0o3;
const WRITE_ONLY = 0o1;

/**
 * Waits until another process has opened a store, which then waits for `pauseWrites` to be over, for it begins with a write. LMDB opens the data file a
 * second time, for writing only, when it has done with the number of the newest transaction. The first one says nothing: it is inherited by each process
 * that one with an open store starts.
 * @param pid that process
 * @returns false when it takes longer than it may; it has to be killed then, before others write again. True also when it has ended
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
    await new Promise((next) => setTimeout(next, LOOK_MS));
  }
  return true;
}

/** @returns true also when it has ended */
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
 * Earlier versions wrote with `overlappingSync`. After a power cut the newest transactions of such a store may lead to pages that never reached the
 * disk; LMDB with that option goes back to the last one that was flushed, and without it has to be brought there.
 */
function goBackToFlushed(folder: string): void {
  const path = join(folder, DATA_FILE);
  if (!existsSync(path) || statSync(path).size === 0) return;
  let pages: readonly { readonly at: number; readonly bytes: Buffer }[] = [];
  const file = new PageFile(path);
  try {
    pages = file.flushedMetas();
  } catch (error) {
    // What is damaged is judged by the check of the store, with a remedy.
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
