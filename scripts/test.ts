import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { availableParallelism, userInfo } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { ENGINES, postgresPrograms } from '../platform/database/testing/engines.ts';
import { redisProgram } from '../platform/redis/testing/redis-server.ts';

/*
 * The tests. Unit tests share one process, which is ten times as fast as one each; tests that start servers, browsers or threads have a process of their
 * own, one more at once than there are processors. What a passing file says is one line, what a failing one says is all of it.
 *
 *   npm test                the unit tests, and of the others those that find most faults soonest
 *   npm run test:all        all of them, with more seeds and more kills
 *   npm test -- log worlds  those with a part of their path, all of them
 *
 * With --postgres every server that a test starts keeps its tables in a real PostgreSQL instead of the embedded one.
 */

/** Of the tests that start servers, those for every change: one way through each part of the platform. */
const QUICK = [
  'simulation/simulation',
  'recovery/kill',
  'accounts/accounts',
  'accounts/several-servers',
  'console/console',
  'feeds/recorded-feeds',
  'feeds/generic-feeds',
  'gateway/cached-responses',
  'graphql/graphql',
  'modules/counter',
  'streams/resume',
  'worlds/playing',
  'worlds/protocol',
];
/** They take longest, so they begin first. */
const LONGEST = [
  'market-law',
  'console/layout',
  'simulation/planted',
  'clients/packages',
  'console/world-pages',
  'recovery/kill',
  'commands/bad-input',
  'endurance/day',
  'worlds/outages',
];
/** Processes at once in addition to one for each processor: tests with servers wait for a fifth of their time. */
const MORE_THAN_PROCESSORS = 1;
/** Longest a test or a group of tests takes on a machine of usual speed; what hangs is ended by it. */
const TEST_MS_MAX = 240_000;
/** And a file of them, or all unit tests. */
const JOB_MS_MAX = 600_000;

const root = join(import.meta.dirname, '..');
const flags = process.argv.slice(2).filter((part) => part.startsWith('--'));
const wanted = process.argv.slice(2).filter((part) => !part.startsWith('--'));
const isAll = flags.includes('--all');
const matches = (path: string, parts: readonly string[]) => parts.some((part) => path.includes(part));
const find = (pattern: string) => globSync(pattern, { cwd: root, exclude: (path) => path.includes('node_modules') });
const chosen = (files: string[]) => (wanted.length === 0 ? files : files.filter((path) => matches(path, wanted)));

const unit = chosen(find('{contracts,kernel,platform,modules,clients,apps/server}/**/*.test.ts'));
const whole = chosen(find('tests/**/*.test.ts'))
  .filter((path) => isAll || wanted.length > 0 || matches(path, QUICK))
  .sort((a, b) => orderOf(a) - orderOf(b));
if (unit.length + whole.length === 0) {
  console.error(`no test matches ${wanted.join(' ')}`);
  process.exit(1);
}

installServers();
const patience = measurePatience();
const postgres = flags.includes('--postgres') ? await ENGINES.find(({ name }) => name === 'PostgreSQL')?.open() : null;
const environment: NodeJS.ProcessEnv = {
  ...process.env,
  TEST_PATIENCE: String(patience),
  ...(isAll && { TEST_ALL: '1' }),
  ...(postgres && 'url' in postgres.address && { TEST_POSTGRES: postgres.address.url }),
};

const started = performance.now();
const jobs = [
  ...(unit.length > 0 ? [{ name: `unit tests (${unit.length} files)`, files: unit, flags: ['--test-isolation=none'] }] : []),
  // Not in the runner's own process: what a test forks would take over its flags, and be a test as well.
  ...whole.map((file) => ({ name: file, files: [file], flags: [] })),
];
const running = new Set<ChildProcess>();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => {
    for (const child of running) endGroup(child);
    process.exit(130);
  });
const failed: string[] = [];
const counts = { tests: 0, pass: 0, fail: 0, skipped: 0 };
await Promise.all(Array.from({ length: availableParallelism() + MORE_THAN_PROCESSORS }, work));
await postgres?.close();
const seconds = Math.round((performance.now() - started) / 1_000);
console.log(`${counts.tests} tests in ${seconds} s${counts.skipped > 0 ? `, ${counts.skipped} of them skipped` : ''}`);
// As Node’s own runner ends, for what reads that.
for (const [what, count] of Object.entries(counts)) console.log(`ℹ ${what} ${count}`);
for (const name of failed) console.log(`failed: ${name}`);
process.exitCode = failed.length > 0 ? 1 : 0;

/** Takes one job after another, until there are none. */
async function work(): Promise<void> {
  for (let job = jobs.shift(); job; job = jobs.shift()) {
    const begun = performance.now();
    const limit = `--test-timeout=${Math.round(TEST_MS_MAX * patience)}`;
    // In a process group of its own, so that what a failing test leaves running ends with it, and a test that leaves something open does not hold up the rest.
    const child = spawn(process.execPath, ['--test', '--test-force-exit', '--test-reporter=spec', limit, ...job.flags, ...job.files], {
      cwd: root,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    running.add(child);
    const late = setTimeout(() => endGroup(child), JOB_MS_MAX * patience);
    child.once('exit', () => endGroup(child));
    const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    clearTimeout(late);
    running.delete(child);
    const count = (what: string) => Number(new RegExp(`^ℹ ${what} (\\d+)$`, 'm').exec(output)?.[1] ?? 0);
    counts.tests += count('tests');
    counts.pass += count('pass');
    counts.fail += count('fail') + count('cancelled');
    counts.skipped += count('skipped') + count('todo');
    // A file in which nothing is tested has been broken.
    const isGood = code === 0 && count('tests') > 0;
    if (!isGood) {
      failed.push(job.name);
      // One that ended before it could say what failed.
      if (count('fail') + count('cancelled') === 0) {
        counts.tests++;
        counts.fail++;
      }
      process.stdout.write(output + errors);
    }
    console.log(`${isGood ? 'ok  ' : 'FAIL'} ${job.name}: ${count('tests')} tests, ${((performance.now() - begun) / 1_000).toFixed(1)} s`);
  }
}

/** Ends a process and all that it started. */
function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // They have all ended.
  }
}

function orderOf(path: string): number {
  const place = LONGEST.findIndex((part) => path.includes(part));
  return place < 0 ? LONGEST.length : place;
}

/** How many times longer than on a usual machine that does nothing else a fixed piece of work takes here and now; deadlines of tests are longer by that. */
function measurePatience(): number {
  const USUAL_MS = 120;
  const begun = performance.now();
  const block = Buffer.alloc(1024 * 1024);
  for (let round = 0; round < 64; round++) createHash('sha256').update(block).digest();
  const measured = (performance.now() - begun) / USUAL_MS;
  // A quiet moment may be followed by a busy one.
  return Math.min(10, Math.max(2, Math.ceil(measured * 2)));
}

/** Real servers that tests hold our adapters against. Debian has them; elsewhere installed ones would have to be found first. */
function installServers(): void {
  const missing = () => [...(postgresPrograms() ? [] : ['postgresql']), ...(redisProgram() ? [] : ['redis-server'])];
  if (missing().length === 0) return;
  const isDebian = spawnSync('apt-get', ['--version']).status === 0 && userInfo().uid === 0;
  if (isDebian) {
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    spawnSync('apt-get', ['update', '-qq'], { env: environment, stdio: 'ignore' });
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing()], { env: environment, stdio: 'ignore' });
  }
  for (const name of missing())
    console.error(`There is no ${name} on this machine, and it could not be installed: its tests are left out.`);
}
