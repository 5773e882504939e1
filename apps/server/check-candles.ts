import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';
import type { InstrumentId } from '@millrace/contracts';
import { type CandleReport, checkCandles } from '@millrace/market';
import { openSeries } from './data-folder.ts';

/**
 * Compares samples of the stored candles of each instrument with its stored trades, in order of names, and prints the results. Sets exit code 1 if one differs.
 * After `seconds` it stops and prints the instrument to continue from.
 * @throws UserError while a server uses the data folder, or if the instrument `from` is unknown
 */
export async function checkStoredCandles(
  settings: Settings,
  { from, seconds }: { from: string | undefined; seconds: number },
): Promise<void> {
  const series = await openSeries(settings);
  try {
    const all = series.instruments().sort();
    const first = from === undefined ? 0 : all.indexOf(from as InstrumentId);
    if (first < 0)
      throw new UserError(`no instrument "${from}" is stored`, `Use one of: ${all.slice(0, 20).join(', ') || 'none is stored'}.`);
    const end = performance.now() + seconds * 1_000;
    const isTimeUp = () => performance.now() > end;
    for (const instrument of all.slice(first)) {
      if (isTimeUp()) return console.log(`The time limit is reached. Continue with: doctor --candles --from ${instrument}`);
      const report = await checkCandles(series, instrument, isTimeUp);
      for (const line of linesOf(report)) console.log(line);
      if (report.differing > 0) process.exitCode = 1;
    }
    if (all.length === 0) console.log('No instrument is stored.');
  } finally {
    await series.close();
  }
}

function linesOf({ instrument, compared, notCompared, differing, differences }: CandleReport): string[] {
  const { venue, repaired, partial } = notCompared;
  const summary = `${compared} candles compared, ${differing} differ; not compared: ${venue} venue, ${repaired} repaired, ${partial} partial`;
  return [
    `${differing === 0 ? 'ok  ' : 'FAIL'}  ${instrument.padEnd(22)} ${summary}`,
    ...differences.map(
      ({ interval, time, field, stored, expected }) =>
        `     ${interval} ${new Date(time).toISOString()} ${field}: stored ${stored ?? 'nothing'}, of its trades ${expected}`,
    ),
  ];
}
