import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, test } from 'node:test';
import { until } from '@millrace/testing';

const SCRIPTS = join(import.meta.dirname, '..', '..', 'scripts');
const LOCK = JSON.stringify({ packages: { 'node_modules/one': { version: '1.0.0' } } });
/** Behaves as npm: a package that has a package.json counts as installed. Without `COMPLETE` it never ends, with half of the files. */
const NPM = `
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
const runtime = process.argv.find((argument) => /^node-.*@/.test(argument))?.split('@')[0];
const folder = join(process.cwd(), 'node_modules', runtime ?? 'one');
if (!existsSync(join(folder, 'package.json'))) {
  mkdirSync(join(folder, 'bin'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{}');
  const program = runtime ? '#!/bin/sh\\necho started\\n' : 'complete';
  writeFileSync(join(folder, 'bin', 'node'), process.env.COMPLETE ? program : 'half', { mode: 0o755 });
}
writeFileSync(join(process.env.PIDS, String(process.pid)), '');
if (!process.env.COMPLETE) setInterval(() => {}, 1_000);
`;

let root: string;
let pids: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'millrace-installation-'));
  pids = join(root, 'pids');
  for (const folder of ['scripts', 'pids', 'apps/web/dist', '.runtime/empty-databases']) mkdirSync(join(root, folder), { recursive: true });
  for (const script of ['run.mjs', 'lock-file.mjs']) cpSync(join(SCRIPTS, script), join(root, 'scripts', script));
  writeFileSync(join(root, 'npm.mjs'), NPM);
  writeFileSync(join(root, 'package-lock.json'), LOCK);
  writeFileSync(join(root, 'apps/web/dist/.millrace-built'), createHash('sha256').update('/package-lock.json').update(LOCK).digest('hex'));
});
afterEach(() => {
  for (const pid of readdirSync(pids)) if (isRunning(pid)) process.kill(Number(pid), 'SIGKILL');
  rmSync(root, { recursive: true, force: true });
});

const isRunning = (pid: string) => existsSync(`/proc/${pid}`);

function start(env: Record<string, string>): ChildProcess {
  return spawn(process.execPath, [join(root, 'scripts', 'run.mjs'), 'up'], {
    env: { ...process.env, npm_execpath: join(root, 'npm.mjs'), PIDS: pids, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function interrupt(signal: NodeJS.Signals): Promise<unknown[]> {
  const child = start({});
  const ended = once(child, 'exit');
  // One installs Node, the other the dependencies.
  await until(() => readdirSync(pids).length === 2, 'both installations have begun');
  child.kill(signal);
  return ended;
}

for (const signal of ['SIGKILL', 'SIGTERM'] as const)
  test(`a start after an installation that ended by ${signal} installs again what is incomplete`, async () => {
    await interrupt(signal);
    for (const pid of readdirSync(pids)) if (isRunning(pid)) process.kill(Number(pid), 'SIGKILL');
    assert.equal(await text(start({ COMPLETE: '1' }).stdout as NodeJS.ReadableStream), 'started\n');
    assert.equal(readFileSync(join(root, 'node_modules/one/bin/node'), 'utf8'), 'complete');
    assert.deepEqual(readdirSync(join(root, '.runtime')).sort(), ['empty-databases', 'node-24.21.0']);
  });

test('of two starts at once, one installs and the other one waits for it', async () => {
  const first = start({});
  await until(() => readdirSync(pids).length === 2, 'the first one installs');
  const second = start({ COMPLETE: '1' });
  let log = '';
  second.stderr?.on('data', (lines) => {
    log += lines;
  });
  await until(() => log.includes(`waiting for process ${first.pid},`), 'the second one waits');
  assert.equal(readdirSync(pids).length, 2);
  first.kill('SIGTERM');
  assert.equal(await text(second.stdout as NodeJS.ReadableStream), 'started\n');
  assert.equal(readFileSync(join(root, 'node_modules/one/bin/node'), 'utf8'), 'complete');
});

test('a start takes the lock of a process that was killed, also when another one has its id', async () => {
  await interrupt('SIGKILL');
  for (const pid of readdirSync(pids)) if (isRunning(pid)) process.kill(Number(pid), 'SIGKILL');
  const lock = join(root, '.runtime/preparing');
  writeFileSync(lock, String(process.pid));
  const minuteAgo = new Date(Date.now() - 60_000);
  utimesSync(lock, minuteAgo, minuteAgo);
  assert.equal(await text(start({ COMPLETE: '1' }).stdout as NodeJS.ReadableStream), 'started\n');
  assert.equal(readFileSync(join(root, 'node_modules/one/bin/node'), 'utf8'), 'complete');
});

test('a stopped installation ends in order, with its processes', async () => {
  assert.deepEqual(await interrupt('SIGTERM'), [0, null]);
  assert.deepEqual(readdirSync(pids).filter(isRunning), []);
});
