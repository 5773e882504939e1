import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ZoneAddress } from '@millrace/kernel';
import type { LmdbLog } from './lmdb-log.ts';
import { openSpool } from './spool.ts';
import { diskOf } from './spool-disk.ts';
import { type WrittenBatch, writerOf } from './written-batch.ts';

/** Number of events that are written at a time. */
const CHUNK_EVENTS = 512;
const SEGMENT = /^\d+\.spool$/;

/**
 * Writes to the log what a host of a version before shards has left on its spool. It had one spool for all zones, in `folder`, or one in a folder for each
 * process. Call it before any zone is opened. Batches that do not follow the log are kept for an operator.
 * @param report called with a message about each spool that was found
 */
export async function writeEarlierSpools(folder: string, log: LmdbLog, report: (message: string) => void): Promise<void> {
  if (!existsSync(folder)) return;
  const folders = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const each of [folder, ...folders.map(({ name }) => join(folder, name))]) await writeEarlierSpool(each, log, report);
}

async function writeEarlierSpool(folder: string, log: LmdbLog, report: (message: string) => void): Promise<void> {
  const segments = readdirSync(folder).filter((name) => SEGMENT.test(name));
  if (segments.length === 0) return;
  const newest = new Map<ZoneAddress, number>();
  await eachChunk(folder, report, async (batches) => {
    for (const batch of batches) newest.set(batch.zone, Math.max(newest.get(batch.zone) ?? 0, writerOf(batch)));
  });
  let written = 0;
  let left = 0;
  // Damage was reported by the first pass.
  const silent = () => {};
  await eachChunk(folder, silent, async (batches) => {
    // The newest owner of a zone wrote all that was valid of those before it once more.
    const valid = batches.filter((batch) => writerOf(batch) === newest.get(batch.zone));
    const counts = await log.appendEarlier(valid);
    written += counts.written;
    left += counts.left;
  });
  for (const name of segments) {
    if (left > 0) renameSync(join(folder, name), join(folder, `${name}.abandoned`));
    else rmSync(join(folder, name));
  }
  rmSync(join(folder, 'read-up-to'), { force: true });
  const rest = left > 0 ? `; ${left} do not follow it, and are kept as *.spool.abandoned` : '';
  report(`${written} events that an earlier version left on the spool in ${folder} were written to the log${rest}`);
}

/** Reads a spool without a change. */
async function eachChunk(
  folder: string,
  report: (message: string) => void,
  work: (batches: readonly WrittenBatch[]) => Promise<void>,
): Promise<void> {
  const spool = openSpool({ ...diskOf(folder), remove: () => {}, writeText: () => {} }, Number.POSITIVE_INFINITY, report);
  try {
    for (let batches = spool.oldest(CHUNK_EVENTS); batches.length > 0; batches = spool.oldest(CHUNK_EVENTS)) {
      await work(batches);
      spool.drop(batches.length);
    }
  } finally {
    spool.close();
  }
}
