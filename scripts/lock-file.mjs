import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** Age at which a lock is taken from a process that seems to run, ms. Its id can be that of another process: in a container, most ids come again. */
const AGE_MS_MAX = 30_000;
const RENEWAL_MS = 1_000;
const RETRY_MS = 200;
/** Time in which all processes that found a lock free at once have written it, ms. */
const DECISION_MS = 100;

/**
 * Waits until no other process has a lock, and takes it. It is renewed while the event loop runs.
 * @param path a file with the id of the process that has the lock
 * @param onWait called once with the id of the process that has it
 * @returns function that releases it; the end of the process does, too
 */
export async function lockFile(path, onWait) {
  const id = String(process.pid);
  mkdirSync(dirname(path), { recursive: true });
  for (let isReported = false; ; await pause(RETRY_MS)) {
    const holder = holderOf(path);
    if (holder === null) {
      try {
        writeFileSync(path, id);
      } catch (error) {
        // No process of this user can write here.
        if (error.code === 'EACCES' || error.code === 'EROFS') return () => {};
        throw error;
      }
      // Of several processes that found it free at once, the last one has it.
      await pause(DECISION_MS);
      if (read(path) === id) break;
    } else if (!isReported) {
      isReported = true;
      onWait(holder);
    }
  }
  const renewal = setInterval(() => existsSync(path) && utimesSync(path, new Date(), new Date()), RENEWAL_MS);
  const release = () => {
    clearInterval(renewal);
    if (read(path) === id) rmSync(path, { force: true });
  };
  process.once('exit', release);
  return () => {
    process.off('exit', release);
    release();
  };
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** Id of the process that has a lock; null if there is none, or it has ended. */
function holderOf(path) {
  const id = read(path);
  if (id === null || id === String(process.pid)) return null;
  const { mtimeMs = 0 } = statSync(path, { throwIfNoEntry: false }) ?? {};
  // The clock may have been set back since.
  const isRenewed = Math.abs(Date.now() - mtimeMs) < AGE_MS_MAX;
  return isRenewed && (id === '' || isRunning(Number(id))) ? id : null;
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
