import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createLogger } from '@millrace/telemetry';
import { killOrphans, recordProcess } from './own-processes.ts';

describe('fault 46: orphaned child processes of an earlier server', () => {
  const logger = createLogger('silent');
  let data: string;
  let child: ChildProcess;
  let ended: Promise<unknown>;
  beforeEach(async () => {
    data = mkdtempSync(join(tmpdir(), 'millrace-orphans-'));
    child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    ended = once(child, 'exit');
    await once(child, 'spawn');
  });
  afterEach(async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(data, { recursive: true, force: true });
  });
  const recordFiles = () => readdirSync(join(data, 'processes'));

  test('the next server kills them, even when they are suspended', async () => {
    recordProcess(data, child.pid, 'a zone host');
    child.kill('SIGSTOP');
    assert.equal(await killOrphans(data, logger), 1);
    await ended;
    assert.equal(child.signalCode, 'SIGKILL');
    assert.deepEqual(recordFiles(), []);
  });

  test('a record that cannot be written or removed does not stop the server', () => {
    const forget = recordProcess(data, child.pid, 'a zone host');
    rmSync(join(data, 'processes', String(child.pid)));
    // A folder cannot be removed as a file: it simulates a file on a read-only disk.
    mkdirSync(join(data, 'processes', String(child.pid)));
    forget();
    writeFileSync(join(data, 'no-folder'), '');
    recordProcess(join(data, 'no-folder'), child.pid, 'a zone host')();
  });

  test('ended processes, and other processes that got the same pid, are not killed', async () => {
    const forget = recordProcess(data, child.pid, 'a zone host');
    forget();
    assert.equal(await killOrphans(data, logger), 0);
    writeFileSync(join(data, 'processes', String(child.pid)), JSON.stringify({ name: 'a zone host', startedAt: 'another boot 5' }));
    writeFileSync(join(data, 'processes', '1'), 'torn');
    assert.equal(await killOrphans(data, logger), 0);
    assert.deepEqual(recordFiles(), []);
    assert.ok(existsSync(`/proc/${child.pid}`));
    assert.equal(await killOrphans(join(data, 'nowhere'), logger), 0);
  });
});
