import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DrillReport, fromWire, toWire } from '@millrace/contracts';
import { Value } from 'typebox/value';

/** Largest number of reports in a list: about three months at one drill a day. */
const SHOWN_MAX = 100;

const reportToWire = toWire(DrillReport);
const reportFromWire = fromWire(DrillReport);

/** Folder of the reports within the data folder. */
const folderOf = (data: string) => join(data, 'drills');

/** Writes a report. @returns the path of its file */
export function keepDrillReport(data: string, report: DrillReport): string {
  mkdirSync(folderOf(data), { recursive: true });
  const path = join(folderOf(data), `${new Date(report.startedAt).toISOString().replaceAll(':', '-')}.json`);
  writeFileSync(path, JSON.stringify(reportToWire?.(report), null, 2));
  return path;
}

/** The newest reports, newest first. Skips damaged files and files of another format. */
export function drillReports(data: string): DrillReport[] {
  if (!existsSync(folderOf(data))) return [];
  return readdirSync(folderOf(data))
    .filter((name) => name.endsWith('.json'))
    .sort()
    .reverse()
    .slice(0, SHOWN_MAX)
    .flatMap((name) => readReport(join(folderOf(data), name)) ?? []);
}

function readReport(path: string): DrillReport | null {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8')) as unknown;
    return Value.Check(DrillReport, report) ? (reportFromWire?.(report) as DrillReport) : null;
  } catch {
    return null;
  }
}
