import { type ChildProcess, spawn } from 'node:child_process';

/** V8 options that reduce memory by a third or more. They cost speed, which matters less in these processes than in the server. */
const MEMORY_OPTIONS = ['--optimize-for-size', '--max-semi-space-size=4'];
/** Options of Node for supervised processes. */
export const SUPERVISED_FLAGS: readonly string[] = [...MEMORY_OPTIONS, '--import', import.meta.resolve('./quick-imports.ts')];

/** Processes that were started early, by the file that they run. */
const early = new Map<string, ChildProcess>();

/** A process that a server will need, before it is known what for. */
export interface EarlyProcess {
  /** File that it runs. It has to end when its pipe, descriptor 3, is closed. */
  readonly file: string;
  /** Options of Node. */
  readonly flags: readonly string[];
}

/**
 * Starts a process early, unless one with this file waits already: it loads its modules while the server loads its own. The first linked process with
 * this file takes it over. Never throws: without it, that one is started as usual.
 */
export function startEarly({ file, flags }: EarlyProcess): void {
  if (early.has(file)) return;
  try {
    const child = spawnLinked(file, flags);
    // Another one may be waiting when this one, taken over long ago, ends.
    const forget = () => early.get(file) === child && early.delete(file);
    child.on('error', forget);
    child.once('exit', forget);
    early.set(file, child);
  } catch {
    // The later start fails too, and reports the error.
  }
}

/** Takes over the process that was started early. Null without a running one. */
export function takeEarly(file: string): ChildProcess | null {
  const child = early.get(file);
  early.delete(file);
  return child?.pid !== undefined && child.stdio[3] ? child : null;
}

/** Starts a process with a pipe as descriptor 3. Its output goes to that of this process. */
export function spawnLinked(file: string, flags: readonly string[]): ChildProcess {
  return spawn(process.execPath, [...flags, file], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
}
