import { type ChildProcess, spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type Link, openLink } from '@millrace/cluster';
import type { Logger } from '@millrace/telemetry';
import { noteProcess } from './own-processes.ts';

/** These processes may be slower than the server: of the room that V8 keeps for speed, a third and more is given back. */
const LEAN = ['--optimize-for-size', '--max-semi-space-size=4'];
const QUICKLY = ['--import', join(import.meta.dirname, 'quick-imports.ts')];
const RESTART_MS = 1_000;
const STOP_MS_MAX = 9_000;

export interface ProcessOrders<Out extends object, In extends object> {
  /** What it is called in the log. */
  readonly name: string;
  readonly file: string;
  /** The data folder that it works on. */
  readonly data: string;
  /** What a process is told first, each time one starts. */
  readonly begin: () => readonly Out[];
  /** What ends it in good order. */
  readonly stop: Out;
  readonly onMessage: (message: In) => void;
  readonly onEnded?: () => void;
}

/** A process of the server’s that is started again when it ends. They speak over a pipe, descriptor 3 on the other side. */
export class SupervisedProcess<Out extends object, In extends object> {
  readonly #orders: ProcessOrders<Out, In>;
  readonly #logger: Logger;
  #child: ChildProcess | null = null;
  #link: Link<Out> | null = null;
  #restart: NodeJS.Timeout | null = null;
  #isStopping = false;

  constructor(orders: ProcessOrders<Out, In>, logger: Logger) {
    this.#orders = orders;
    this.#logger = logger;
  }

  start(): void {
    if (this.#isStopping || this.#child) return;
    const { name, file, data, begin, onMessage, onEnded } = this.#orders;
    const child = spawn(process.execPath, [...LEAN, ...QUICKLY, file], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
    this.#child = child;
    yieldToOthers(child.pid);
    const forget = noteProcess(data, child.pid, name);
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
      // A terminal sends SIGINT, and systemd SIGTERM, to the whole process group; a process that has just been started does not ignore it yet. The server
      // may be about to stop, too, so this is no error.
      const level = signal === 'SIGINT' || signal === 'SIGTERM' ? 'info' : 'error';
      this.#logger[level]({ code, signal }, `${name} has ended and will be restarted`);
      this.#restart = setTimeout(() => this.start(), RESTART_MS);
    });
  }

  /** Of the process that runs now. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** @returns whether there is a process that may hear it */
  send(message: Out): boolean {
    this.#link?.send(message);
    return this.#link !== null;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#restart) clearTimeout(this.#restart);
    const child = this.#child;
    if (!child) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.#link?.send(this.#orders.stop);
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    await ended;
    clearTimeout(late);
  }
}

/** Lets a process have what the server and its zones leave it: tables may come a little later, decisions may not. */
function yieldToOthers(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already, or the system does not allow it; then it runs like the others.
  }
}
