import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drill as runDrill } from '../drill/drill.ts';
import { type ServingFlags, settingsFor } from './settings.ts';

interface DrillFlags extends ServingFlags {
  readonly players: number;
  readonly kills: number;
}

/** Where reports are kept; the console shows them. */
export const DRILLS_FOLDER = 'drills';

/** Runs a recovery drill in a world of its own and writes what it measured. Ends with 1 when a promise was not kept. */
export async function drill({ players, kills, ...flags }: DrillFlags): Promise<void> {
  const { data } = settingsFor(flags);
  const fewer = Math.max(1, Math.round(kills / 4));
  const report = await runDrill({ players, kills: { hot: kills, cold: fewer, replay: fewer }, onProgress: (line) => console.error(line) });
  const folder = join(data, DRILLS_FOLDER);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${new Date(report.startedAt).toISOString().replaceAll(':', '-')}.json`);
  writeFileSync(path, JSON.stringify(report, null, 2));
  console.table(
    report.rungs.map(({ rung, promisedMs, rtoMsMost, rpoMsMost, met, kills: each }) => ({
      rung,
      kills: each.length,
      'RTO most, ms': rtoMsMost,
      'promised, ms': promisedMs,
      'RPO most, ms': rpoMsMost,
      lost: each.reduce((sum, { lost }) => sum + lost, 0),
      doubled: each.reduce((sum, { doubled }) => sum + doubled, 0),
      met,
    })),
  );
  console.log(`report ${path}`);
  if (report.rungs.some(({ met }) => !met)) process.exitCode = 1;
}
