import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { startServer } from '../tests/server.ts';
import { inFolder, median, report } from './measure.ts';

/*
 * From the command to `ready`, everything installed and data present, against a bare process that serves HTTP; and the memory of a server that nobody uses.
 */

const STARTS = 5;
const SETTLE_MS = 60_000;
const BARE = "require('node:http').createServer().listen(0, () => console.log('ready'))";
const MIB = 1024 * 1024;

await inFolder(async (folder) => {
  const args = ['up', '--port', '0', '--data', 'data'];
  // As scripts/run.mjs starts it, with users.
  const env = { MILLRACE_DEMO: 'false', MALLOC_ARENA_MAX: '1' };
  const options = { cwd: folder, env, nodeFlags: ['--max-semi-space-size=16'] };
  const filled = await startServer(args, options);
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  await filled.stop();

  const times: number[] = [];
  const bare: number[] = [];
  for (let start = 0; start < STARTS; start++) {
    bare.push(await bareStart());
    const started = performance.now();
    const server = await startServer(args, options);
    times.push(performance.now() - started);
    if (start < STARTS - 1) await server.stop();
    else {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      const resident = familyOf(server.child.pid as number).reduce((sum, pid) => sum + residentKib(pid), 0);
      report({
        what: 'idle memory, every process of every role of today, simulator running',
        ours: (resident * 1_024) / MIB,
        bare: null,
        unit: 'MiB',
        budget: { kind: '<=', value: 500 },
      });
      await server.stop();
    }
  }
  report({
    what: 'start to ready, data present (bare: a process that serves HTTP)',
    ours: median(times),
    bare: median(bare),
    unit: 'ms',
    budget: { kind: '<=', value: 80 },
  });
});

/** How long a process takes that does nothing but listen. */
async function bareStart(): Promise<number> {
  const started = performance.now();
  const child = spawn(process.execPath, ['-e', BARE], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const ms = performance.now() - started;
  child.kill('SIGKILL');
  return ms;
}

/** A process and all that it started. */
function familyOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(familyOf)];
}

/** Proportional set size: what processes share is counted once, in parts (proc(5), smaps_rollup). */
function residentKib(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]);
}
