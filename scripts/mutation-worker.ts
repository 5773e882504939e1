import { globSync, readFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parentPort } from 'node:worker_threads';
import fc from 'fast-check';
import { takeTests } from './collected-tests.ts';
import type { Mutant } from './kernel-mutants.ts';

/*
 * A thread of a mutation run: loads the kernel and its tests anew for each mutant, runs the tests until one fails, and says which.
 * A thread serves many mutants, because a process for each would take longer to start than its tests take to run.
 */

export interface Task {
  /** null: the kernel as it is. */
  readonly mutant: Mutant | null;
  /** Names of tests to run first. */
  readonly first: readonly string[];
}

export type Message =
  | { readonly type: 'ready' }
  /** A test begins; it hangs if nothing follows. */
  | { readonly type: 'test'; readonly name: string }
  /** The run proves nothing. */
  | { readonly type: 'broken'; readonly why: string }
  | { readonly type: 'done'; readonly noticedBy: string | null; readonly why: string };

/** Turns of the event loop in which nothing is due before a test that is not over counts as hanging. */
const IDLE_TURNS_MAX = 30;
/** Turns of the event loop that are left to a mutant’s unfinished work, so that it does not fall into the next one’s run. */
const LEFT_TURNS = 50;

const root = join(import.meta.dirname, '..');
const kernel = pathToFileURL(join(root, 'kernel/')).href;
const collector = pathToFileURL(join(import.meta.dirname, 'collected-tests.ts')).href;
const files = globSync('kernel/*.test.ts', { cwd: root }).sort();
const stripped = new Map<string, string>();
let planted: Mutant | null = null;
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

/** The source of a file of the kernel without its types; with the change, where it is the mutant’s. */
function sourceOf(path: string): string {
  if (planted && path === join(root, planted.file)) {
    const source = readFileSync(path, 'utf8');
    return stripTypeScriptTypes(source.slice(0, planted.start) + planted.to + source.slice(planted.end));
  }
  let source = stripped.get(path);
  if (source === undefined) {
    source = stripTypeScriptTypes(readFileSync(path, 'utf8'));
    stripped.set(path, source);
  }
  return source;
}

/** Runs a test. Rejects when it fails, and when the event loop has nothing to do any more: then it would never be over. */
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
    throw new Error('the test waits for something that never comes');
  })();
  await Promise.race([stray, Promise.all([test, watch])]);
}

async function run({ mutant, first }: Task): Promise<Message> {
  if (mutant && readFileSync(join(root, mutant.file), 'utf8').slice(mutant.start, mutant.end) !== mutant.from)
    throw new Error(`${mutant.file} was changed during the run. Start it again.`);
  planted = mutant;
  generation++;
  try {
    for (const file of files) await import(`${pathToFileURL(join(root, file)).href}?mutant=${generation}`);
  } catch (error) {
    takeTests();
    return { type: 'done', noticedBy: 'loading the kernel', why: String(error) };
  }
  const rank = new Map(first.map((name, index) => [name, index]));
  const rankOf = ({ name }: { name: string }) => rank.get(name) ?? first.length;
  for (const { name, run } of takeTests().sort((one, other) => rankOf(one) - rankOf(other))) {
    send({ type: 'test', name });
    try {
      await outcomeOf(run);
    } catch (error) {
      failOnStray = () => {};
      for (let turn = 0; turn < LEFT_TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
      return { type: 'done', noticedBy: name, why: String(error).split('\n')[0] ?? '' };
    }
  }
  return { type: 'done', noticedBy: null, why: '' };
}

function send(message: Message): void {
  parentPort?.postMessage(message);
}

process.removeAllListeners('warning');
process.on('unhandledRejection', (error) => failOnStray(error));
process.on('uncaughtException', (error) => failOnStray(error));
// The same examples for each mutant, and none smaller of one that fails: only that it fails counts.
fc.configureGlobal({ seed: 1, endOnFailure: true });
parentPort?.on('message', (task: Task) => {
  run(task).then(send, (error) => send({ type: 'broken', why: String(error) }));
});
send({ type: 'ready' });
