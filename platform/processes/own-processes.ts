import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { messageOf } from '@millrace/kernel';
import type { Logger } from '@millrace/telemetry';

/** Below a data folder: a file for each process that a server has started for it, named by its pid. */
const FOLDER = 'processes';
const LOOK_MS = 20;
/** How long the system may take to end a process that is killed. */
const END_MS_MAX = 5_000;

/**
 * Notes that a process was started, so that the next server finds it should this one be killed and the process not end by itself: one that is stopped
 * keeps the locks of the stores.
 * @returns what takes the note back, to be called when the process has ended
 */
export function noteProcess(data: string, pid: number | undefined, name: string): () => void {
  const startedAt = pid === undefined ? null : startOf(pid);
  if (startedAt === null) return () => {};
  const file = join(data, FOLDER, String(pid));
  try {
    mkdirSync(join(data, FOLDER), { recursive: true });
    writeFileSync(file, JSON.stringify({ name, startedAt }));
  } catch {
    // On a disk that is full there is no note, and that keeps nothing from running.
  }
  return () => forget(file);
}

/** On a disk that cannot be written a note stays; the next server finds that the process is gone. */
function forget(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // See above: that ends no server.
  }
}

/**
 * Ends what is left of an earlier server of a data folder. Only a server that has the folder for itself may call it.
 * @returns how many processes were ended
 */
export async function endOrphans(data: string, logger: Logger): Promise<number> {
  let ended = 0;
  for (const entry of notesIn(data)) {
    const file = join(data, FOLDER, entry);
    const pid = Number(entry);
    const note = readNote(file);
    if (note && startOf(pid) === note.startedAt) {
      logger.warn({ pid, name: note.name }, 'a process of an earlier server is still there, and is ended');
      try {
        process.kill(pid, 'SIGKILL');
        for (let waited = 0; startOf(pid) === note.startedAt && waited < END_MS_MAX; waited += LOOK_MS) await setTimeout(LOOK_MS);
        ended++;
      } catch (error) {
        logger.error({ pid, name: note.name, reason: messageOf(error) }, 'it cannot be ended; end it by hand if the server does not start');
      }
    }
    forget(file);
  }
  return ended;
}

function notesIn(data: string): string[] {
  try {
    return readdirSync(join(data, FOLDER)).filter((entry) => /^\d+$/.test(entry));
  } catch {
    return [];
  }
}

function readNote(file: string): { name: string; startedAt: string } | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

/**
 * When a process was started, so that it is told from a later one with the same number: the boot, and the ticks since. Null when
 * there is none, when it has ended and only its parent has not noticed, or where the system does not say (proc(5)).
 */
function startOf(pid: number): string | null {
  try {
    // After the program’s name, in brackets, which may have spaces and brackets in it: the state, and as the 22nd field of all the start in ticks.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return null;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[19]}`;
  } catch {
    return null;
  }
}
