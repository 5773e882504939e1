import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TIME_FACTOR } from '@millrace/testing';

/** Kills a zone host while no process can be started, frees the file descriptors when its restart has failed, and waits for the new process. */
const WITHOUT_DESCRIPTORS = `
import { closeSync, openSync } from 'node:fs';
import { HostProcesses } from ${JSON.stringify(import.meta.resolve('./host-processes.ts'))};
const used = [];
let failures = 0;
const terms = { data: process.argv[2], log: { engine: 'lmdb' }, plan: {}, leaseMs: 1000, spoolMiB: 1, randomSecret: 'secret', recoverFrom: 'hot' };
const opening = {
  next: (pid) => {
    if (pid === first) {
      for (;;) try { used.push(openSync('/dev/null')); } catch { break; }
      hosts.get('zones-1').kill();
      return;
    }
    console.log('started again');
    hosts.get('zones-1').kill();
    process.exit(0);
  },
};
const hosts = new HostProcesses({ hosts: 1, standby: 0 }, {}, opening, terms, {
  onMessage: () => {},
  onEnded: () => {
    // The first end is that of the killed host, the second that of a process that could not be started.
    if (++failures === 2) for (const one of used.splice(0)) closeSync(one);
  },
});
const first = hosts.get('zones-1').pid;
`;

test('a zone host whose process cannot be started is tried again until it runs', {
  skip: process.platform === 'win32' && 'Windows has no limit of descriptors',
}, (context) => {
  const data = mkdtempSync(join(tmpdir(), 'millrace-hosts-'));
  context.after(() => rmSync(data, { recursive: true, force: true }));
  const script = join(data, 'without.mts');
  writeFileSync(script, WITHOUT_DESCRIPTORS);
  const { stdout, stderr, status } = spawnSync('sh', ['-c', 'ulimit -n 100; exec "$@"', 'sh', process.execPath, script, data], {
    encoding: 'utf8',
    timeout: 30_000 * TIME_FACTOR,
  });
  assert.equal(stdout, 'started again\n', stderr);
  assert.equal(status, 0, stderr);
});
