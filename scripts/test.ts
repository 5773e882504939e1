import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { availableParallelism, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { ENGINES, postgresPrograms } from '../platform/database/testing/engines.ts';
import { kafkaMissing, openTestKafka, type TestKafka } from '../platform/kafka/testing/index.ts';
import { redisProgram } from '../platform/redis/testing/redis-server.ts';

/*
 * Runs the tests. Unit tests share two processes, which is ten times as fast as one process each. Tests that start servers, browsers or threads run in
 * separate processes, one more at a time than there are processors, because they often wait. A passing file prints one line; a failing file prints all of
 * its output.
 *
 *   npm test                all unit tests, and the system tests that find most faults in the shortest time; tables on the embedded database only
 *   npm run test:all        all tests, with more seeds and more kills, and tables on PostgreSQL too
 *   npm test -- log worlds  all tests whose path contains one of these texts
 *
 * With --postgres, every server that a test starts uses a real PostgreSQL instead of the embedded database. With --kafka, its log is in a real Kafka with
 * three brokers. `npm run test:all` runs some tests a second time in this way.
 */

/** System tests for every change: one path through each part of the platform. */
const QUICK = [
  'simulation/simulation',
  'recovery/kill',
  'accounts/accounts',
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
/** System tests that `npm run test:all` runs a second time, on a real Kafka: the end-to-end tests of the modules with zones. */
const ALSO_ON_KAFKA = [
  'accounts/accounts',
  'accounts/user-stream',
  'feeds/generic-feeds',
  'recovery/kill',
  'worlds/past',
  'worlds/python-client',
];
/** Files of tests that run in one process. */
interface Job {
  readonly name: string;
  readonly files: readonly string[];
  readonly flags: readonly string[];
  /** Folder for temporary files. */
  readonly temporary: string;
  readonly environment?: NodeJS.ProcessEnv;
}

/** The longest tests, which start first. */
const LONGEST = [
  'market-law',
  'console/layout',
  'simulation/planted',
  'clients/packages',
  'kafka/shards',
  'console/world-pages',
  'recovery/kill',
  'commands/bad-input',
  'endurance/day',
  'worlds/outages',
];
/** Passed on to the process of each file: it halves the time that imports take. */
const QUICK_IMPORTS = ['--import', new URL('../platform/processes/quick-imports.ts', import.meta.url).href];
/** Time limit of a test or a suite on a machine of usual speed. */
const TEST_MS_MAX = 240_000;
const UNIT_PROCESSES = 2;
/** Time limit of a file, and of a process of unit tests. */
const JOB_MS_MAX = 600_000;
/** File system in memory (Linux), and the free space that the unit tests need there. */
const MEMORY_FOLDER = '/dev/shm';
const MEMORY_FREE_MIN = 2 * 1024 ** 3;
/** Mounted file systems (Linux). */
const MOUNTS = '/proc/self/mounts';

const root = join(import.meta.dirname, '..');
const flags = process.argv.slice(2).filter((part) => part.startsWith('--'));
const pathParts = process.argv.slice(2).filter((part) => !part.startsWith('--'));
const isAll = flags.includes('--all');
/** Without parameters: tests of tables use the embedded database only, and laws with slow runs take less time. */
const isQuick = process.argv.length === 2;
const matches = (path: string, parts: readonly string[]) => parts.some((part) => path.includes(part));
const find = (pattern: string) => globSync(pattern, { cwd: root, exclude: (path) => path.includes('node_modules') });
const chosen = (files: string[]) => (pathParts.length === 0 ? files : files.filter((path) => matches(path, pathParts)));

const unit = chosen(find('{contracts,kernel,platform,modules,clients,apps/server}/**/*.test.ts'));
const system = chosen(find('tests/**/*.test.ts'))
  .filter((path) => isAll || pathParts.length > 0 || matches(path, QUICK))
  .sort((a, b) => orderOf(a) - orderOf(b));
if (unit.length + system.length === 0) {
  console.error(`No test file matches ${pathParts.join(' ')}.`);
  process.exit(1);
}

installTestServers();
const timeFactor = measureTimeFactor();
const postgres = flags.includes('--postgres') ? await ENGINES.find(({ name }) => name === 'PostgreSQL')?.open() : null;
const onKafka = flags.includes('--kafka') ? system : isAll ? system.filter((path) => matches(path, ALSO_ON_KAFKA)) : [];
const kafka = onKafka.length > 0 ? await startKafka() : null;
const environment: NodeJS.ProcessEnv = {
  ...process.env,
  TEST_TIME_FACTOR: String(timeFactor),
  ...(isAll && { TEST_ALL: '1' }),
  ...(isQuick && { TEST_QUICK: '1' }),
  ...(postgres && 'url' in postgres.address && { TEST_POSTGRES: postgres.address.url }),
};

const unitFolder = mkdtempSync(join(hasMemoryFolder() ? MEMORY_FOLDER : tmpdir(), 'millrace-unit-'));
// A real PostgreSQL that a test starts as root runs as another user, which must reach its folder.
chmodSync(unitFolder, 0o711);
process.once('exit', removeUnitFolder);
const started = performance.now();
const jobs: Job[] = [
  ...unitParts().map((files, index, { length }) => ({
    name: `unit tests ${index + 1} of ${length} (${files.length} files)`,
    files,
    flags: ['--test-isolation=none'],
    temporary: unitFolder,
  })),
  // Isolated from the process of the runner: a process that a test forks would inherit the runner’s flags and run as a test.
  ...(flags.includes('--kafka') ? [] : system).map((file) => systemJob(file)),
  ...(kafka ? onKafka.map((file) => systemJob(file, kafka.addresses)) : []),
];
const running = new Set<ChildProcess>();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => {
    for (const child of running) endGroup(child);
    void Promise.resolve(kafka?.close()).finally(() => process.exit(130));
  });
const failed: string[] = [];
const counts = { tests: 0, pass: 0, fail: 0, skipped: 0 };
await Promise.all(Array.from({ length: availableParallelism() + 1 }, work));
await postgres?.close();
await kafka?.close();
const seconds = Math.round((performance.now() - started) / 1_000);
console.log(`${counts.tests} tests in ${seconds} s${counts.skipped > 0 ? `, ${counts.skipped} of them skipped` : ''}`);
// The summary format of Node’s test runner, for programs that parse it.
for (const [what, count] of Object.entries(counts)) console.log(`ℹ ${what} ${count}`);
for (const name of failed) console.log(`failed: ${name}`);
process.exitCode = failed.length > 0 ? 1 : 0;

/** Runs jobs one after the other until none is left. */
async function work(): Promise<void> {
  for (let job = jobs.shift(); job; job = jobs.shift()) {
    const startedAt = performance.now();
    const limit = `--test-timeout=${Math.round(TEST_MS_MAX * timeFactor)}`;
    // A separate process group: processes that a failing test leaves running are killed with it, and cannot block the other tests.
    const options = ['--test', '--test-force-exit', '--test-reporter=spec', limit, ...QUICK_IMPORTS, ...job.flags];
    const child = spawn(process.execPath, [...options, ...job.files], {
      cwd: root,
      env: { ...environment, TMPDIR: job.temporary, ...job.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    running.add(child);
    const late = setTimeout(() => endGroup(child), JOB_MS_MAX * timeFactor);
    child.once('exit', () => endGroup(child));
    const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    clearTimeout(late);
    running.delete(child);
    const count = (what: string) => Number(new RegExp(`^ℹ ${what} (\\d+)$`, 'm').exec(output)?.[1] ?? 0);
    counts.tests += count('tests');
    counts.pass += count('pass');
    counts.fail += count('fail') + count('cancelled');
    counts.skipped += count('skipped') + count('todo');
    // A suite that is skipped as a whole has no tests.
    const isSkipped = count('tests') === 0 && /^﹣ /m.test(output);
    if (isSkipped) counts.skipped++;
    // A file without any test counts as failed.
    const passed = code === 0 && (count('tests') > 0 || isSkipped);
    if (!passed) {
      failed.push(job.name);
      // The file ended before it reported a failed test.
      if (count('fail') + count('cancelled') === 0) {
        counts.tests++;
        counts.fail++;
      }
      process.stdout.write(output + errors);
    }
    console.log(
      `${passed ? (isSkipped ? 'skip' : 'ok  ') : 'FAIL'} ${job.name}: ${count('tests')} tests, ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`,
    );
  }
}

/** A file of system tests. @param brokers of the Kafka that has the logs of its servers */
function systemJob(file: string, brokers?: readonly string[]): Job {
  const job = { name: file, files: [file], flags: [], temporary: tmpdir() };
  return brokers ? { ...job, name: `${file} on Kafka`, environment: { TEST_KAFKA: JSON.stringify(brokers) } } : job;
}

/** Three brokers. Null where they cannot run, unless they were asked for. */
async function startKafka(): Promise<TestKafka | null> {
  const missing = await kafkaMissing();
  if (missing === null) return openTestKafka();
  if (flags.includes('--kafka')) throw new Error(missing);
  console.error(`${missing} Tests on Kafka are skipped.`);
  return null;
}

/** The files of the unit tests by process. Neighbouring files go to different ones, because they often take equally long. */
function unitParts(): string[][] {
  const parts = Array.from({ length: UNIT_PROCESSES }, (_none, part) => unit.filter((_file, index) => index % UNIT_PROCESSES === part));
  return parts.filter((files) => files.length > 0);
}

/** Removes the files of the unit tests, also when a test that mounted a file system there was killed. */
function removeUnitFolder(): void {
  try {
    for (const line of existsSync(MOUNTS) ? readFileSync(MOUNTS, 'utf8').split('\n') : []) {
      const mount = line.split(' ')[1] ?? '';
      if (mount.startsWith(unitFolder)) spawnSync('umount', ['-l', mount], { stdio: 'ignore' });
    }
    rmSync(unitFolder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  } catch (error) {
    console.error(`${unitFolder} cannot be removed: ${error}`);
  }
}

/** Whether unit tests can keep their files in memory, where no write waits for a disk. System tests use the disk, as the server does. */
function hasMemoryFolder(): boolean {
  try {
    const { bavail, bsize } = statfsSync(MEMORY_FOLDER);
    return bavail * bsize > MEMORY_FREE_MIN;
  } catch {
    return false;
  }
}

/** Kills a process and all processes that it started. */
function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // All of them have ended.
  }
}

function orderOf(path: string): number {
  const index = LONGEST.findIndex((part) => path.includes(part));
  return index < 0 ? LONGEST.length : index;
}

/** Factor for the time limits of tests, 2 to 10: twice the duration of a fixed piece of work relative to an idle machine of usual speed. */
function measureTimeFactor(): number {
  const USUAL_MS = 120;
  const begun = performance.now();
  const block = Buffer.alloc(1024 * 1024);
  for (let round = 0; round < 64; round++) createHash('sha256').update(block).digest();
  const measured = (performance.now() - begun) / USUAL_MS;
  // Doubled, because the load may rise after the measurement.
  return Math.min(10, Math.max(2, Math.ceil(measured * 2)));
}

/** Installs PostgreSQL and Redis for the tests of their adapters, where apt is available. Elsewhere, their tests are skipped if they are missing. */
function installTestServers(): void {
  const missing = () => [...(postgresPrograms() ? [] : ['postgresql']), ...(redisProgram() ? [] : ['redis-server'])];
  if (missing().length === 0) return;
  const isDebian = spawnSync('apt-get', ['--version']).status === 0 && userInfo().uid === 0;
  if (isDebian) {
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    spawnSync('apt-get', ['update', '-qq'], { env: environment, stdio: 'ignore' });
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing()], { env: environment, stdio: 'ignore' });
  }
  for (const name of missing())
    console.error(`${name} is not installed on this machine and could not be installed. Its tests are skipped.`);
}
