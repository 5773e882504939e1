import { type ChildProcess, spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type Link, openLink } from '@millrace/cluster';
import type { Logger } from '@millrace/telemetry';
import { recordProcess } from './own-processes.ts';

/** V8 options that reduce memory by a third or more. They cost speed, which matters less in these processes than in the server. */
const MEMORY_OPTIONS = ['--optimize-for-size', '--max-semi-space-size=4'];
const IMPORT_OPTIONS = ['--import', join(import.meta.dirname, 'quick-imports.ts')];
const RESTART_MS = 1_000;
const STOP_MS_MAX = 9_000;

/** How to run a child process. */
export interface SupervisedProcessOptions<Out extends object, In extends object> {
  /** Name in log messages. */
  readonly name: string;
  readonly file: string;
  /** Data folder of the process. */
  readonly data: string;
  /** First messages to the process after each start. */
  readonly begin: () => readonly Out[];
  /** Message that makes the process stop gracefully. */
  readonly stop: Out;
  readonly onMessage: (message: In) => void;
  readonly onEnded?: () => void;
}

/** A child process that restarts when it ends. Messages go over a pipe, which is file descriptor 3 of the child. */
export class SupervisedProcess<Out extends object, In extends object> {
  readonly #options: SupervisedProcessOptions<Out, In>;
  readonly #logger: Logger;
  #child: ChildProcess | null = null;
  #link: Link<Out> | null = null;
  #restart: NodeJS.Timeout | null = null;
  #isStopping = false;

  constructor(options: SupervisedProcessOptions<Out, In>, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
  }

  /** Starts the process unless it runs. */
  start(): void {
    if (this.#isStopping || this.#child) return;
    const { name, file, data, begin, onMessage, onEnded } = this.#options;
    const child = spawn(process.execPath, [...MEMORY_OPTIONS, ...IMPORT_OPTIONS, file], {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    });
    this.#child = child;
    lowerPriority(child.pid);
    const forget = recordProcess(data, child.pid, name);
    const link = openLink<Out, In>(child.stdio[3] as Duplex, { onMessage, onClose: () => {} });
    this.#link = link;
    for (const message of begin()) link.send(message);
    child.once('error', (error) => this.#logger.error({ err: error }, `${name} cannot be started`));
    child.once('exit', (code, signal) => {
      forget();
      link.close();
      this.#link = null;
      this.#child = null;
      onEnded?.();
      if (this.#isStopping) return;
      // A terminal sends SIGINT, and systemd SIGTERM, to the whole process group. A process that has just started does not ignore them yet.
      // The server is probably stopping too, so this is not an error.
      const level = signal === 'SIGINT' || signal === 'SIGTERM' ? 'info' : 'error';
      this.#logger[level]({ code, signal }, `${name} has ended and will be restarted`);
      this.#restart = setTimeout(() => this.start(), RESTART_MS);
    });
  }

  /** Pid of the running process. Undefined while none runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Sends a message. @returns false when no process runs */
  send(message: Out): boolean {
    this.#link?.send(message);
    return this.#link !== null;
  }

  /** Stops the process for good: gracefully, or with SIGKILL after `STOP_MS_MAX`. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#restart) clearTimeout(this.#restart);
    const child = this.#child;
    if (!child) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.#link?.send(this.#options.stop);
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    await ended;
    clearTimeout(late);
  }
}

/** Runs a process below the priority of the server and its zones: projections may be late, decisions may not. */
function lowerPriority(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // The process has ended already, or the system does not allow it. The process then runs with normal priority.
  }
}
