import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DrillReport } from '@millrace/contracts';
import { drillReports, keepDrillReport } from './drill-reports.ts';

test('reports are listed newest first; a damaged one, or one of another format, is skipped', () => {
  const data = mkdtempSync(join(tmpdir(), 'millrace-reports-'));
  assert.deepEqual(drillReports(data), []);
  const reportAt = (startedAt: number): DrillReport => ({ startedAt, endedAt: startedAt + 1, players: 1, zones: 1, hosts: 1, results: [] });
  keepDrillReport(data, reportAt(1_000));
  keepDrillReport(data, reportAt(2_000));
  writeFileSync(join(data, 'drills', '1970-01-01T00-00-03.json'), '{"startedAt": 3000, "rungs": []}');
  writeFileSync(join(data, 'drills', '1970-01-01T00-00-04.json'), '{"startedAt": 40');
  assert.deepEqual(drillReports(data), [reportAt(2_000), reportAt(1_000)]);
  rmSync(data, { recursive: true, force: true });
});
