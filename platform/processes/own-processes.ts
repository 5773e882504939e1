import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { messageOf } from '@millrace/kernel';
import type { Logger } from '@millrace/telemetry';

/** Folder in the data folder with one record file per child process of the server, named by its pid. */
const FOLDER = 'processes';
const POLL_MS = 20;
/** Maximum time until a killed process has ended. */
const END_MS_MAX = 5_000;

/**
 * Writes a record file for a child process. If this server is killed and the child does not end, the next server finds it: a suspended process keeps
 * the locks of the stores.
 * @returns function that removes the record; call it when the process has ended
 */
export function recordProcess(data: string, pid: number | undefined, name: string): () => void {
  const startedAt = pid === undefined ? null : startOf(pid);
  if (startedAt === null) return () => {};
  const file = join(data, FOLDER, String(pid));
  try {
    mkdirSync(join(data, FOLDER), { recursive: true });
    writeFileSync(file, JSON.stringify({ name, startedAt }));
  } catch {
    // On a full disk there is no record. The process runs all the same.
  }
  return () => removeRecord(file);
}

/** Removes a record file. On a read-only disk it stays, and the next server finds that the process has ended. */
function removeRecord(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // Not an error, see above.
  }
}

/**
 * Kills child processes of an earlier server of a data folder. The caller must have exclusive use of the folder.
 * @returns number of killed processes
 */
export async function killOrphans(data: string, logger: Logger): Promise<number> {
  let ended = 0;
  for (const entry of recordsIn(data)) {
    const file = join(data, FOLDER, entry);
    const pid = Number(entry);
    const record = readRecord(file);
    if (record && startOf(pid) === record.startedAt) {
      logger.warn({ pid, name: record.name }, 'killing an orphaned process of an earlier server');
      try {
        process.kill(pid, 'SIGKILL');
        for (let waited = 0; startOf(pid) === record.startedAt && waited < END_MS_MAX; waited += POLL_MS) await setTimeout(POLL_MS);
        ended++;
      } catch (error) {
        logger.error(
          { pid, name: record.name, reason: messageOf(error) },
          'cannot kill an orphaned process; kill it if the server does not start',
        );
      }
    }
    removeRecord(file);
  }
  return ended;
}

function recordsIn(data: string): string[] {
  try {
    return readdirSync(join(data, FOLDER)).filter((entry) => /^\d+$/.test(entry));
  } catch {
    return [];
  }
}

function readRecord(file: string): { name: string; startedAt: string } | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

/**
 * Start of a process: the boot id and the clock ticks since the boot. It distinguishes the process from a later one with the same pid.
 * Null when there is no such process, when it is a zombie, or when the system has no /proc (see proc(5)).
 */
function startOf(pid: number): string | null {
  try {
    // The fields after the program’s name, which is in parentheses and may contain spaces. First the state; the start is field 22 of the line.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return null;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[19]}`;
  } catch {
    return null;
  }
}
