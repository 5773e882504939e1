import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { startServer } from '../tests/server.ts';
import { inFolder, median, report } from './measure.ts';

/*
 * Time from the command to `ready`, with all dependencies installed and an existing data folder, against a bare process that serves HTTP. Also the
 * memory of an idle server.
 */

const STARTS = 5;
const SETTLE_MS = 60_000;
const BARE = "require('node:http').createServer().listen(0, () => console.log('ready'))";
const MIB = 1024 * 1024;

await inFolder(async (folder) => {
  const args = ['up', '--port', '0', '--data', 'data'];
  // As scripts/run.mjs starts the server, with users.
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
      const resident = processTree(server.child.pid as number).reduce((sum, pid) => sum + residentKib(pid), 0);
      report({
        what: 'memory of an idle server, all processes, simulator running',
        ours: (resident * 1_024) / MIB,
        bare: null,
        unit: 'MiB',
        budget: { kind: '<=', value: 500 },
      });
      await server.stop();
    }
  }
  report({
    what: 'start to ready, existing data folder (bare: a process that serves HTTP)',
    ours: median(times),
    bare: median(bare),
    unit: 'ms',
    budget: { kind: '<=', value: 80 },
  });
});

/** Start time of a process that only listens, ms. */
async function bareStart(): Promise<number> {
  const started = performance.now();
  const child = spawn(process.execPath, ['-e', BARE], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const ms = performance.now() - started;
  child.kill('SIGKILL');
  return ms;
}

/** A process and its descendants. */
function processTree(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(processTree)];
}

/** Proportional set size, KiB: shared pages are divided among their processes (proc(5), smaps_rollup). */
function residentKib(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]);
}
