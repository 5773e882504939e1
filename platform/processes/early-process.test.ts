import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { until } from '@millrace/testing';
import { startLinkedProcess } from './child-process.ts';
import { startEarly } from './early-process.ts';

/** A child that reports its pid and its environment when it gets a message, until its pipe is closed. */
const REPORT = `
import { Socket } from 'node:net';
import { openLink } from ${JSON.stringify(import.meta.resolve('@millrace/cluster'))};
const link = openLink(new Socket({ fd: 3, readable: true, writable: true }), {
  onMessage: ({ text }) => (text === 'stop' ? process.exit(0) : link.send({ pid: process.pid, isEarly: process.env.STARTED === 'early' })),
  onClose: () => process.exit(0),
});
`;

interface Report {
  readonly pid: number;
  readonly isEarly: boolean;
}

function folderWithReport(context: TestContext): { readonly data: string; readonly file: string } {
  const data = mkdtempSync(join(tmpdir(), 'millrace-early-'));
  context.after(() => rmSync(data, { recursive: true, force: true }));
  const file = join(data, 'report.mts');
  writeFileSync(file, REPORT);
  return { data, file };
}

function startEarlyWithMark(file: string): void {
  process.env.STARTED = 'early';
  startEarly({ file, flags: [] });
  delete process.env.STARTED;
}

/** Starts a linked process, asks it for a report, and stops it. */
async function reportOf({ data, file }: { readonly data: string; readonly file: string }): Promise<Report> {
  const reports: Report[] = [];
  const child = startLinkedProcess<{ text: string }, Report>({
    name: 'a report',
    file,
    flags: [],
    data,
    onMessage: (report) => reports.push(report),
  });
  child.send({ text: 'report' });
  await until(() => reports.length > 0, 'the process reports');
  child.send({ text: 'stop' });
  await child.ended;
  assert.equal(reports[0]?.pid, child.pid);
  return reports[0] as Report;
}

test('the first linked process takes over the one that was started early; the next is a new one', async (context) => {
  const files = folderWithReport(context);
  startEarlyWithMark(files.file);
  assert.deepEqual([(await reportOf(files)).isEarly, (await reportOf(files)).isEarly], [true, false]);
});

test('a process waits although an earlier one with its file, which was taken over, ends', async (context) => {
  const files = folderWithReport(context);
  startEarlyWithMark(files.file);
  const first = startLinkedProcess<{ text: string }, Report>({ ...files, name: 'a report', flags: [], onMessage: () => {} });
  startEarlyWithMark(files.file);
  first.send({ text: 'stop' });
  await first.ended;
  assert.equal((await reportOf(files)).isEarly, true);
});

test('a linked process of another file is a new one', async (context) => {
  const [early, other] = [folderWithReport(context), folderWithReport(context)];
  startEarlyWithMark(early.file);
  assert.equal((await reportOf(other)).isEarly, false);
  assert.equal((await reportOf(early)).isEarly, true);
});

test('a process that was started early and cannot run is replaced', async (context) => {
  const files = folderWithReport(context);
  const { execPath } = process;
  process.execPath = join(files.data, 'no-such-program');
  startEarlyWithMark(files.file);
  process.execPath = execPath;
  assert.equal((await reportOf(files)).isEarly, false);
});
