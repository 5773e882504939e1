import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DrillReport } from '@millrace/contracts';

/** Reports that are shown; a drill a day fills a season. */
const SHOWN_MAX = 100;

/** Where drills leave their reports, within the data folder. */
const folderOf = (data: string) => join(data, 'drills');

/** @returns where the report is now */
export function keepDrillReport(data: string, report: DrillReport): string {
  mkdirSync(folderOf(data), { recursive: true });
  const path = join(folderOf(data), `${new Date(report.startedAt).toISOString().replaceAll(':', '-')}.json`);
  writeFileSync(path, JSON.stringify(report, null, 2));
  return path;
}

/** The newest reports, newest first. */
export function drillReports(data: string): DrillReport[] {
  if (!existsSync(folderOf(data))) return [];
  return readdirSync(folderOf(data))
    .filter((name) => name.endsWith('.json'))
    .sort()
    .reverse()
    .slice(0, SHOWN_MAX)
    .map((name) => JSON.parse(readFileSync(join(folderOf(data), name), 'utf8')) as DrillReport);
}
