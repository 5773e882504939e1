import { globSync, readFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parentPort } from 'node:worker_threads';
import fc from 'fast-check';
import { takeTests } from './collected-tests.ts';
import type { Mutant } from './kernel-mutants.ts';

/*
 * Thread of a mutation run. For each mutant it loads the kernel and its tests again, runs the tests until one fails, and reports that test.
 * A thread tests many mutants, because starting a process for each would take longer than its tests.
 */

/** One test run. */
export interface Task {
  /** Null: the unchanged kernel. */
  readonly mutant: Mutant | null;
  /** Names of tests to run first. */
  readonly first: readonly string[];
}

/** Message of a thread to the main thread. */
export type Message =
  | { readonly type: 'ready' }
  /** A test starts. It hangs if no other message follows. */
  | { readonly type: 'test'; readonly name: string }
  /** The run has no valid result. */
  | { readonly type: 'broken'; readonly why: string }
  | { readonly type: 'done'; readonly detectedBy: string | null; readonly why: string };

/** Turns of the event loop without pending work after which an unfinished test counts as hanging. */
const IDLE_TURNS_MAX = 30;
/** Turns of the event loop to let unfinished work of a mutant end before the next run. */
const DRAIN_TURNS = 50;

const root = join(import.meta.dirname, '..');
const kernel = pathToFileURL(join(root, 'kernel/')).href;
const collector = pathToFileURL(join(import.meta.dirname, 'collected-tests.ts')).href;
const files = globSync('kernel/*.test.ts', { cwd: root }).sort();
const stripped = new Map<string, string>();
let currentMutant: Mutant | null = null;
let generation = 0;
let failOnStray: (error: unknown) => void = () => {};

registerHooks({
  resolve(specifier, context, nextResolve) {
    const isFromKernel = context.parentURL?.startsWith(kernel) === true;
    if (specifier === 'node:test' && isFromKernel) return { url: collector, shortCircuit: true };
    const resolved = nextResolve(specifier, context);
    if (!resolved.url.startsWith(kernel)) return resolved;
    return { ...resolved, url: `${resolved.url.split('?')[0]}?mutant=${generation}` };
  },
  load(url, context, nextLoad) {
    if (!url.startsWith(kernel)) return nextLoad(url, context);
    return { format: 'module', source: sourceOf(fileURLToPath(url.split('?')[0] ?? url)), shortCircuit: true };
  },
});

/** Source of a kernel file without types. Includes the change when the current mutant is in this file. */
function sourceOf(path: string): string {
  if (currentMutant && path === join(root, currentMutant.file)) {
    const source = readFileSync(path, 'utf8');
    return stripTypeScriptTypes(source.slice(0, currentMutant.start) + currentMutant.to + source.slice(currentMutant.end));
  }
  let source = stripped.get(path);
  if (source === undefined) {
    source = stripTypeScriptTypes(readFileSync(path, 'utf8'));
    stripped.set(path, source);
  }
  return source;
}

/** Runs a test. Rejects when it fails, and when the event loop has no more work: the test would then never end. */
async function outcomeOf(run: () => unknown): Promise<void> {
  const stray = new Promise<never>((_resolve, reject) => {
    failOnStray = reject;
  });
  let isOver = false;
  const test = (async () => run())().finally(() => {
    isOver = true;
  });
  const watch = (async () => {
    for (let idle = 0; idle < IDLE_TURNS_MAX; ) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isOver) return;
      const isDue = process.getActiveResourcesInfo().some((resource) => resource === 'Immediate' || resource === 'Timeout');
      idle = isDue ? 0 : idle + 1;
    }
    throw new Error('the test waits, but no work is pending');
  })();
  await Promise.race([stray, Promise.all([test, watch])]);
}

async function run({ mutant, first }: Task): Promise<Message> {
  if (mutant && readFileSync(join(root, mutant.file), 'utf8').slice(mutant.start, mutant.end) !== mutant.from)
    throw new Error(`${mutant.file} was changed during the run. Start it again.`);
  currentMutant = mutant;
  generation++;
  try {
    for (const file of files) await import(`${pathToFileURL(join(root, file)).href}?mutant=${generation}`);
  } catch (error) {
    takeTests();
    return { type: 'done', detectedBy: 'loading the kernel', why: String(error) };
  }
  const rank = new Map(first.map((name, index) => [name, index]));
  const rankOf = ({ name }: { name: string }) => rank.get(name) ?? first.length;
  for (const { name, run } of takeTests().sort((a, b) => rankOf(a) - rankOf(b))) {
    send({ type: 'test', name });
    try {
      await outcomeOf(run);
    } catch (error) {
      failOnStray = () => {};
      for (let turn = 0; turn < DRAIN_TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
      return { type: 'done', detectedBy: name, why: String(error).split('\n')[0] ?? '' };
    }
  }
  return { type: 'done', detectedBy: null, why: '' };
}

function send(message: Message): void {
  parentPort?.postMessage(message);
}

process.removeAllListeners('warning');
process.on('unhandledRejection', (error) => failOnStray(error));
process.on('uncaughtException', (error) => failOnStray(error));
// The same examples for each mutant. No shrinking: the smallest counterexample is not needed.
fc.configureGlobal({ seed: 1, endOnFailure: true });
parentPort?.on('message', (task: Task) => {
  run(task).then(send, (error) => send({ type: 'broken', why: String(error) }));
});
send({ type: 'ready' });
