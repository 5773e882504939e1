import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Settings } from '@millrace/config';
import type { SnapshotStore } from '@millrace/kernel';
import { type RepairReport, readSpools, repairLog, type SpooledEvents, setSpoolsAside } from '@millrace/log';
import { openFileSnapshots, openLmdbSnapshots } from '@millrace/snapshots';
import { openSeries } from './data-folder.ts';
import { damageOf, isHalfRepaired, type LmdbStore, lmdbStores, repairedOf, setAside } from './stores.ts';

/** Maximum number of zones and gaps that are printed. */
const LISTED_MAX = 20;

/**
 * Creates a new log from the readable records of each damaged one, renames damaged hot snapshots, and removes a damaged index. Prints the result. Other damaged files are kept.
 * @throws UserError while a server uses the data folder
 */
export async function repairStores(settings: Settings): Promise<void> {
  // Only one process can have the series store open: this fails while a server runs.
  const series = await openSeries(settings);
  try {
    const damaged: LmdbStore[] = [];
    for (const store of lmdbStores(settings.data)) if ((await damageOf(store, 'thorough')) !== null) damaged.push(store);
    if (damaged.length === 0) console.log('All stores are intact; nothing was changed.');
    // Snapshots first: the repair of a log uses intact ones.
    for (const store of damaged.filter(({ kind }) => kind === 'hot snapshots'))
      console.log(`${store.name}: renamed to ${setAside(store.folder)}. Zones recover from the log and the cold snapshots.`);
    for (const store of damaged.filter(({ kind }) => kind === 'index')) {
      rmSync(store.folder, { recursive: true, force: true });
      console.log(`${store.name}: removed. It is built again from what is read.`);
    }
    for (const store of damaged.filter(({ kind }) => kind === 'log')) await repairOne(store);
  } finally {
    await series.close();
  }
}

async function repairOne({ name, folder }: LmdbStore): Promise<void> {
  const repairedFolder = repairedOf(folder);
  if (isHalfRepaired(folder)) {
    renameSync(repairedFolder, folder);
    return console.log(`${name}: the repair that was interrupted is finished.`);
  }
  rmSync(repairedFolder, { recursive: true, force: true });
  const part = dirname(folder);
  const hotFolder = join(part, 'snapshots', 'hot');
  const hot = existsSync(hotFolder) ? openLmdbSnapshots(hotFolder) : null;
  const cold = openFileSnapshots(join(part, 'snapshots', 'cold'));
  const snapshots: SnapshotStore[] = [...(hot ? [hot] : []), cold];
  const spools = spoolsIn(join(part, 'spool'), (message) => console.log(`${name}: ${message}`));
  let report: RepairReport;
  try {
    report = await repairLog(folder, repairedFolder, {
      snapshots,
      spools,
      zones: [...new Set([...(hot?.zones() ?? []), ...(await cold.zones())])],
    });
  } finally {
    for (const spool of spools) spool.close();
    await hot?.close();
  }
  const kept = setAside(folder, true);
  renameSync(repairedFolder, folder);
  setSpoolsAside(join(part, 'spool'));
  for (const line of linesOf(report)) console.log(`${name}: ${line}`);
  console.log(`${name}: the damaged log is kept in ${kept}; remove it when you no longer need it.`);
}

/** The spools of a topic; earlier versions had those of the hosts of a world in folders below it. */
function spoolsIn(folder: string, onDamage: (message: string) => void): SpooledEvents[] {
  if (!existsSync(folder)) return [];
  const hosts = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const folders = [folder, ...hosts.map(({ name }) => join(folder, name))];
  return folders.flatMap((each) => readSpools(each, onDamage));
}

function linesOf({ records, events, gaps, restored, fromSnapshots, setBack, broken }: RepairReport): string[] {
  const listed = <T>(list: readonly T[], line: (one: T) => string) => [
    ...list.slice(0, LISTED_MAX).map(line),
    ...(list.length > LISTED_MAX ? [`... and ${list.length - LISTED_MAX} more`] : []),
  ];
  return [
    `${records} records with ${events} events were read.`,
    ...(gaps.length === 0 ? ['No gap was found.'] : []),
    ...listed(gaps, ({ partition, from, to }) => `gap: offsets ${from} to ${to - 1} of partition ${partition} could not be read.`),
    ...listed(
      restored,
      ({ zone, first, last }) => `${zone}: events ${first} to ${last}, which the log lacked, were taken from a spool or a snapshot.`,
    ),
    ...listed(
      fromSnapshots,
      ({ zone, after, seq }) => `${zone}: events ${after + 1} to ${seq} are lost; its state is that of its snapshot at ${seq}.`,
    ),
    ...listed(
      setBack,
      ({ zone, lost, seq }) => `${zone}: its last ${lost} events are lost and no snapshot has them; it continues after event ${seq}.`,
    ),
    ...listed(
      broken,
      ({ zone, after, next }) => `${zone} cannot be opened: events ${after + 1} to ${next - 1} are lost and no snapshot reaches past them.`,
    ),
    ...(gaps.length === 0 ? [] : ['Consumer groups stop at a gap; POST /api/v1/consumer-groups/{group}/skip continues after it.']),
  ];
}
