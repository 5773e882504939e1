import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { until } from '@millrace/testing';
import { ENGINES } from './engines.ts';

const ENDS = [
  ['ends by itself', null],
  ['is stopped', 'SIGTERM'],
  ['is killed', 'SIGKILL'],
] as const;

/** The embedded database ends with its process. */
const hasServer = ENGINES.some(({ name }) => name === 'PostgreSQL');
for (const [name, signal] of hasServer ? ENDS : [])
  test(`the PostgreSQL of tests leaves neither files nor a process when the process of the tests ${name}`, async () => {
    const program = join(import.meta.dirname, 'engines-process.ts');
    const child = spawn(process.execPath, [program, signal ? 'wait' : 'exit'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    const [url] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const folder = dirname(new URL(url.replace('@/', '@x/')).searchParams.get('host') as string);
    assert.match(folder, /millrace-postgres-/);
    if (signal) {
      assert.ok(existsSync(join(folder, 'data', 'postmaster.pid')));
      child.kill(signal);
    }
    await ended;
    // The server removes its socket when it ends; its folder is deleted after that.
    await until(() => !existsSync(folder), 'the folder is deleted');
  });
