import { keepDrillReport } from '@millrace/worlds/drill-reports';
import { drill as runDrill } from '../drill/drill.ts';
import { type ServingFlags, settingsFor } from './settings.ts';

interface DrillFlags extends ServingFlags {
  readonly players: number;
  readonly kills: number;
  readonly allHosts?: boolean;
}

/** Runs a recovery drill in a separate world and stores its report. Sets exit code 1 if a target was missed. */
export async function drill({ players, kills, allHosts = false, ...flags }: DrillFlags): Promise<void> {
  const { data } = settingsFor(flags);
  const killsOfOtherSources = Math.max(1, Math.round(kills / 4));
  const report = await runDrill({
    players,
    kills: { hot: kills, cold: killsOfOtherSources, replay: killsOfOtherSources },
    allHosts,
    onProgress: (line) => console.error(line),
  });
  const path = keepDrillReport(data, report);
  console.table(
    report.results.map(({ recoverySource, targetMs, rtoMsMax, rpoMsMax, met, kills: each }) => ({
      recoverySource,
      kills: each.length,
      'RTO max, ms': rtoMsMax,
      'target, ms': targetMs,
      'RPO max, ms': rpoMsMax,
      lost: each.reduce((sum, { lost }) => sum + lost, 0),
      duplicated: each.reduce((sum, { duplicated }) => sum + duplicated, 0),
      met,
    })),
  );
  console.log(`report ${path}`);
  if (report.results.some(({ met }) => !met)) process.exitCode = 1;
}
