import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { kernelMutants, type Mutant, sampleOf } from './kernel-mutants.ts';
import { EXPLAINED } from './mutants-explained.ts';
import type { Message, Task } from './mutation-worker.ts';

/*
 * Mutation test of the kernel: changes its source at one position at a time and runs the kernel’s tests. Lists each mutant that no test detects,
 * with its explanation from mutants-explained.ts, if any.
 */

const USAGE = `Usage: npm run mutate -- [--sample n] [--seed n] [--only part-of-file-name] [--jobs n]

  --sample  number of random mutants to test (default: all)
  --seed    seed of the random sample (default: 1)
  --only    test only files whose name contains this text
  --jobs    number of parallel test runs (default: 2)

Exit code 1: fewer than 90 % of the mutants are detected, an undetected mutant has no explanation, or an explained mutant is
detected or does not exist any more.`;

const SHARE_MIN = 0.9;
/** A test counts as hanging after this many times its duration in the clean run, plus `HANG_MS_MIN`: the machine may be busy. */
const HANG_FACTOR = 8;
const HANG_MS_MIN = 1_000;
/** A thread is replaced after this many mutants, because loaded modules stay in its memory. */
const MUTANTS_PER_THREAD = 150;
/** Maximum duration of loading, and of a test in the clean run. */
const CLEAN_MS_MAX = 30_000;
const LOADING = 'loading the kernel';

const { values } = parseArgs({
  options: {
    sample: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    jobs: { type: 'string', default: '2' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit();
}
for (const name of ['sample', 'seed', 'jobs'] as const)
  if (!/^\d+$/.test(values[name])) {
    console.error(`--${name} is "${values[name]}", but must be a whole number.\n\n${USAGE}`);
    process.exit(2);
  }

/** Duration of each test without a mutant, ms. */
const cleanMs = new Map<string, number>();
/** Number of mutants that each test has detected, by file. */
const detectionsByFile = new Map<string, Map<string, number>>();

/** A thread that runs the tests for one mutant after another. */
class TestThread {
  #worker: Worker | null = null;
  #served = 0;

  async run(mutant: Mutant | null): Promise<{ detectedBy: string | null; why: string }> {
    if (this.#served >= MUTANTS_PER_THREAD) await this.close();
    this.#worker ??= await started();
    this.#served++;
    const worker = this.#worker;
    const task: Task = { mutant, first: mutant ? orderFor(mutant.file) : [] };
    const result = await new Promise<{ detectedBy: string | null; why: string; isStopped?: true }>((resolve, reject) => {
      let running = LOADING;
      let since = performance.now();
      let late: NodeJS.Timeout | undefined;
      const end = (detectedBy: string | null, why: string, isStopped?: true) => {
        clearTimeout(late);
        worker.off('message', onMessage);
        worker.off('error', onError);
        resolve({ detectedBy, why, ...(isStopped && { isStopped }) });
      };
      const watch = () => {
        clearTimeout(late);
        const isTest = mutant !== null && running !== LOADING;
        const msMax = isTest ? HANG_FACTOR * (cleanMs.get(running) ?? 0) + HANG_MS_MIN : CLEAN_MS_MAX;
        late = setTimeout(() => {
          // A mutant cannot make loading endless, so the thread itself is broken and has no valid result.
          if (running === LOADING) reject(new Error(`a test thread did not start within ${Math.round(msMax)} ms`));
          else end(running, `hangs: not ended within ${Math.round(msMax)} ms`, true);
        }, msMax);
      };
      const onMessage = (message: Message) => {
        const now = performance.now();
        if (!mutant && running !== LOADING) cleanMs.set(running, now - since);
        if (message.type === 'broken') return reject(new Error(message.why));
        if (message.type === 'done') return end(message.detectedBy, message.why);
        if (message.type === 'test') running = message.name;
        since = now;
        watch();
      };
      const onError = (error: unknown) => end(running, String(error), true);
      worker.on('message', onMessage);
      worker.on('error', onError);
      watch();
      worker.postMessage(task);
    });
    if (result.isStopped) await this.close();
    return result;
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = null;
    this.#served = 0;
  }
}

function started(): Promise<Worker> {
  const worker = new Worker(new URL('./mutation-worker.ts', import.meta.url), { resourceLimits: { maxOldGenerationSizeMb: 1_024 } });
  return new Promise((resolve, reject) => {
    worker.once('message', () => resolve(worker));
    worker.once('error', reject);
  });
}

/** Test names in the order to run them: those that detected most mutants of the file first, then the fastest. */
function orderFor(file: string): string[] {
  const counts = detectionsByFile.get(file);
  const names = [...cleanMs.keys()];
  return names.sort((a, b) => (counts?.get(b) ?? 0) - (counts?.get(a) ?? 0) || (cleanMs.get(a) ?? 0) - (cleanMs.get(b) ?? 0));
}

const allMutants = kernelMutants();
const chosen = sampleOf(
  allMutants.filter(({ file }) => file.includes(values.only)),
  Number(values.sample),
  Number(values.seed),
);
const began = performance.now();
const firstThread = new TestThread();
const clean = await firstThread.run(null);
if (clean.detectedBy !== null) {
  console.error(`Without a mutant, "${clean.detectedBy}" fails: ${clean.why}. Fix that first.`);
  process.exit(1);
}
console.log(`${chosen.length} of ${allMutants.length} mutants; ${cleanMs.size} tests`);

const survivors: Mutant[] = [];
const left = [...chosen];
async function work(thread: TestThread): Promise<void> {
  for (let mutant = left.shift(); mutant; mutant = left.shift()) {
    const { detectedBy } = await thread.run(mutant);
    if (detectedBy === null) survivors.push(mutant);
    else {
      const counts = detectionsByFile.get(mutant.file) ?? new Map<string, number>();
      detectionsByFile.set(mutant.file, counts.set(detectedBy, (counts.get(detectedBy) ?? 0) + 1));
    }
  }
  await thread.close();
}
await Promise.all(
  Array.from({ length: Math.max(1, Number(values.jobs)) }, (_none, index) => work(index === 0 ? firstThread : new TestThread())),
);

const explains = (mutant: Mutant) => (explained: (typeof EXPLAINED)[number]) => {
  const at = mutant.context.indexOf(explained.line);
  const isWithin = at !== -1 && mutant.column >= at && mutant.column < at + explained.line.length;
  return explained.file === mutant.file && isWithin && explained.from === mutant.from.replaceAll(/\s+/g, ' ');
};
const inOrder = chosen.filter((mutant) => survivors.includes(mutant));
let unexplained = 0;
for (const mutant of inOrder) {
  const why = EXPLAINED.find(explains(mutant))?.why;
  if (why === undefined) unexplained++;
  const { file, line, from, to, context } = mutant;
  const change = `${from.replaceAll(/\s+/g, ' ').slice(0, 80)}  ->  ${to.slice(0, 80)}`;
  console.log(`SURVIVED ${file}:${line}  ${change}  in: ${context.slice(0, 110)}${why ? `\n         ${why}` : ''}`);
}
// An outdated explanation could hide another mutant: the explained mutant must exist and be undetected.
let outdated = 0;
for (const explained of EXPLAINED) {
  const matching = allMutants.filter((mutant) => explains(mutant)(explained));
  const problem =
    matching.length === 0
      ? 'does not exist'
      : matching.some((mutant) => chosen.includes(mutant) && !survivors.includes(mutant)) && 'is detected';
  if (!problem) continue;
  outdated++;
  console.log(
    `OUTDATED ${explained.file}: the explained mutant of "${explained.from}" in "${explained.line}" ${problem}. Delete its explanation.`,
  );
}
const detected = chosen.length - survivors.length;
const share = detected / chosen.length;
console.log(
  `${detected} of ${chosen.length} detected: ${(share * 100).toFixed(1)} %; of ${survivors.length} survivors ${survivors.length - unexplained} are explained; ` +
    `${((performance.now() - began) / 1_000).toFixed(0)} s`,
);
process.exitCode = share < SHARE_MIN || unexplained > 0 || outdated > 0 ? 1 : 0;
