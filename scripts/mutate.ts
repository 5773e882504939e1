import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { kernelMutants, type Mutant, sampleOf } from './kernel-mutants.ts';
import { EXPLAINED } from './mutants-explained.ts';
import type { Message, Task } from './mutation-worker.ts';

/*
 * Mutation test of the kernel: changes one place of its source at a time, as a slip of the pen would, and runs the kernel’s tests.
 * A change that no test notices is listed, with the reason why it may stay where there is one (mutants-explained.ts).
 */

const USAGE = `Usage: npm run mutate -- [--sample n] [--seed n] [--only part-of-file-name] [--jobs n]

  --sample  how many mutants, chosen by the seed (all)
  --seed    which of them (1)
  --only    files whose name contains this
  --jobs    test runs at a time (2)

Ends with 1 when fewer than 90 of 100 mutants are noticed, when one that is not noticed has no explanation, or when an explained
one is noticed or does not exist any more.`;

const SHARE_MIN = 0.9;
/** A test hangs when it takes this many times as long as in the clean run, and a second: the machine may be busy. */
const HANG_FACTOR = 8;
const HANG_MS_LEAST = 1_000;
/** After so many mutants a thread is replaced: what it loaded for them stays in its memory. */
const MUTANTS_PER_THREAD = 150;
/** Loading, and a test of the clean run, may take this long. */
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

/** How long each test took without a mutant, ms. */
const cleanMs = new Map<string, number>();
/** How many mutants of a file each test has noticed. */
const noticedIn = new Map<string, Map<string, number>>();

/** A thread that runs the tests for one mutant after another. */
class TestThread {
  #worker: Worker | null = null;
  #served = 0;

  async run(mutant: Mutant | null): Promise<{ noticedBy: string | null; why: string }> {
    if (this.#served >= MUTANTS_PER_THREAD) await this.close();
    this.#worker ??= await started();
    this.#served++;
    const worker = this.#worker;
    const task: Task = { mutant, first: mutant ? orderFor(mutant.file) : [] };
    const result = await new Promise<{ noticedBy: string | null; why: string; isStopped?: true }>((resolve, reject) => {
      let running = LOADING;
      let since = performance.now();
      let late: NodeJS.Timeout | undefined;
      const end = (noticedBy: string | null, why: string, isStopped?: true) => {
        clearTimeout(late);
        worker.off('message', onMessage);
        worker.off('error', onError);
        resolve({ noticedBy, why, ...(isStopped && { isStopped }) });
      };
      const watch = () => {
        clearTimeout(late);
        const isTest = mutant !== null && running !== LOADING;
        const msMax = isTest ? HANG_FACTOR * (cleanMs.get(running) ?? 0) + HANG_MS_LEAST : CLEAN_MS_MAX;
        late = setTimeout(() => {
          // Loading runs nothing that a mutant could make endless: the thread itself is broken, and its result would be worth nothing.
          if (running === LOADING) reject(new Error(`a test thread did not begin within ${Math.round(msMax)} ms`));
          else end(running, `hangs: no end within ${Math.round(msMax)} ms`, true);
        }, msMax);
      };
      const onMessage = (message: Message) => {
        const now = performance.now();
        if (!mutant && running !== LOADING) cleanMs.set(running, now - since);
        if (message.type === 'broken') return reject(new Error(message.why));
        if (message.type === 'done') return end(message.noticedBy, message.why);
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

/** The tests that noticed most mutants of a file come first, then the quickest. */
function orderFor(file: string): string[] {
  const counts = noticedIn.get(file);
  const names = [...cleanMs.keys()];
  return names.sort((a, b) => (counts?.get(b) ?? 0) - (counts?.get(a) ?? 0) || (cleanMs.get(a) ?? 0) - (cleanMs.get(b) ?? 0));
}

const every = kernelMutants();
const chosen = sampleOf(
  every.filter(({ file }) => file.includes(values.only)),
  Number(values.sample),
  Number(values.seed),
);
const began = performance.now();
const firstThread = new TestThread();
const clean = await firstThread.run(null);
if (clean.noticedBy !== null) {
  console.error(`Without a mutant, "${clean.noticedBy}" fails: ${clean.why}. Fix that first.`);
  process.exit(1);
}
console.log(`${chosen.length} of ${every.length} mutants; ${cleanMs.size} tests`);

const survivors: Mutant[] = [];
const left = [...chosen];
async function work(thread: TestThread): Promise<void> {
  for (let mutant = left.shift(); mutant; mutant = left.shift()) {
    const { noticedBy } = await thread.run(mutant);
    if (noticedBy === null) survivors.push(mutant);
    else {
      const counts = noticedIn.get(mutant.file) ?? new Map<string, number>();
      noticedIn.set(mutant.file, counts.set(noticedBy, (counts.get(noticedBy) ?? 0) + 1));
    }
  }
  await thread.close();
}
await Promise.all(
  Array.from({ length: Math.max(1, Number(values.jobs)) }, (_none, index) => work(index === 0 ? firstThread : new TestThread())),
);

const isOf = (mutant: Mutant) => (one: (typeof EXPLAINED)[number]) => {
  const at = mutant.context.indexOf(one.line);
  const isWithin = at !== -1 && mutant.column >= at && mutant.column < at + one.line.length;
  return one.file === mutant.file && isWithin && one.from === mutant.from.replaceAll(/\s+/g, ' ');
};
const inOrder = chosen.filter((mutant) => survivors.includes(mutant));
let unexplained = 0;
for (const mutant of inOrder) {
  const why = EXPLAINED.find(isOf(mutant))?.why;
  if (why === undefined) unexplained++;
  const { file, line, from, to, context } = mutant;
  const change = `${from.replaceAll(/\s+/g, ' ').slice(0, 80)}  ->  ${to.slice(0, 80)}`;
  console.log(`SURVIVED ${file}:${line}  ${change}  in: ${context.slice(0, 110)}${why ? `\n         ${why}` : ''}`);
}
// An explanation must be of a mutant that is there and that no test notices; else it hides what comes in its place.
let outdated = 0;
for (const one of EXPLAINED) {
  const its = every.filter((mutant) => isOf(mutant)(one));
  const problem =
    its.length === 0 ? 'does not exist' : its.some((mutant) => chosen.includes(mutant) && !survivors.includes(mutant)) && 'is noticed';
  if (!problem) continue;
  outdated++;
  console.log(`OUTDATED ${one.file}: the explained mutant of "${one.from}" in "${one.line}" ${problem}. Delete its explanation.`);
}
const noticed = chosen.length - survivors.length;
const share = noticed / chosen.length;
console.log(
  `${noticed} of ${chosen.length} noticed: ${(share * 100).toFixed(1)} %; of ${survivors.length} survivors ${survivors.length - unexplained} are explained; ` +
    `${((performance.now() - began) / 1_000).toFixed(0)} s`,
);
process.exitCode = share < SHARE_MIN || unexplained > 0 || outdated > 0 ? 1 : 0;
