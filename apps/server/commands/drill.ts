import { drill as runDrill } from '../drill/drill.ts';
import { keepDrillReport } from '../drill/reports.ts';
import { type ServingFlags, settingsFor } from './settings.ts';

interface DrillFlags extends ServingFlags {
  readonly players: number;
  readonly kills: number;
  readonly allHosts?: boolean;
}

/** Runs a recovery drill in a world of its own and writes what it measured. Ends with 1 when a promise was not kept. */
export async function drill({ players, kills, allHosts = false, ...flags }: DrillFlags): Promise<void> {
  const { data } = settingsFor(flags);
  const fewer = Math.max(1, Math.round(kills / 4));
  const report = await runDrill({
    players,
    kills: { hot: kills, cold: fewer, replay: fewer },
    allHosts,
    onProgress: (line) => console.error(line),
  });
  const path = keepDrillReport(data, report);
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
