import { readFileSync } from 'node:fs';
import { startServer } from '../tests/server.ts';
import { inFolder, median, report } from './measure.ts';

/* From the command to `ready`, everything installed and data present, and the memory of a server that nobody uses. */

const STARTS = 5;
const SETTLE_MS = 20_000;
const MIB = 1024 * 1024;

await inFolder(async (folder) => {
  const args = ['up', '--port', '0', '--data', 'data'];
  // As scripts/run.mjs starts it, with users.
  const options = { cwd: folder, env: { MILLRACE_DEMO: 'false' }, nodeFlags: ['--max-semi-space-size=8'] };
  const filled = await startServer(args, options);
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  await filled.stop();

  const times: number[] = [];
  for (let start = 0; start < STARTS; start++) {
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
        budget: { kind: '<=', value: 700 },
      });
      await server.stop();
    }
  }
  report({ what: 'start to ready, data present', ours: median(times), bare: null, unit: 'ms', budget: { kind: '<=', value: 5_000 } });
});

/** A process and all that it started. */
function familyOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(familyOf)];
}

/** Proportional set size: what processes share is counted once, in parts (proc(5), smaps_rollup). */
function residentKib(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]);
}
