import { type ChildProcess, spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type Link, openLink } from '@millrace/platform/cluster';
import type { ConsumerFigures } from '@millrace/platform/log';
import type { Logger } from '@millrace/platform/telemetry';
import type { FromProjector, ProjectorQuery, ToProjector } from './projector.ts';

const PROCESS = join(import.meta.dirname, 'projector-process.ts');
/** Of 470 MB that PostgreSQL in WebAssembly takes unasked, a third is room that V8 keeps for speed nobody here needs. */
const LEAN = ['--optimize-for-size', '--max-semi-space-size=4'];
const START_AFTER_MS = 4_000;
const RESTART_MS = 1_000;
const STOP_MS_MAX = 9_000;
const ANSWER_MS_MAX = 10_000;

interface Asked {
  resolve(answer: unknown): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

type Question =
  | { readonly type: 'query'; readonly query: ProjectorQuery }
  | { readonly type: 'replay'; readonly letter: number }
  | { readonly type: 'caught-up' };

/** Lets a process have what the others leave it: tables may come a little later, decisions may not. */
function yieldToOthers(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already, or the system does not allow it; then it runs like the others.
  }
}

/** The projector as the server holds it: a process that is started again when it ends. Nothing else waits for it. */
export class ProjectorHandle {
  readonly #data: string;
  readonly #logger: Logger;
  #child: ChildProcess | null = null;
  #link: Link<ToProjector> | null = null;
  #asked = new Map<number, Asked>();
  #asks = 0;
  #figures: ConsumerFigures | null = null;
  #isPaused = false;
  #isStopping = false;
  #restart: NodeJS.Timeout | null = null;

  constructor(data: string, logger: Logger) {
    this.#data = data;
    this.#logger = logger;
    // The tables may come a little later; whoever plays or trades when the server is ready should not share the processor with them.
    this.#restart = setTimeout(() => this.#start(), START_AFTER_MS);
  }

  /** What it said last; null until it has said something. */
  get figures(): ConsumerFigures | null {
    return this.#figures;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  pause(): void {
    this.#isPaused = true;
    this.#link?.send({ type: 'pause' });
  }

  resume(): void {
    this.#isPaused = false;
    this.#link?.send({ type: 'resume' });
  }

  query(query: ProjectorQuery): Promise<unknown> {
    return this.#ask({ type: 'query', query });
  }

  async replay(letter: number): Promise<boolean> {
    return (await this.#ask({ type: 'replay', letter })) === true;
  }

  async caughtUp(): Promise<void> {
    await this.#ask({ type: 'caught-up' });
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#restart) clearTimeout(this.#restart);
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.#link?.send({ type: 'stop' });
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    await ended;
    clearTimeout(late);
  }

  /** @throws when the projector is away, or fails on it */
  #ask(question: Question): Promise<unknown> {
    const link = this.#link;
    if (!link) return Promise.reject(new Error('the projector is starting'));
    const ask = ++this.#asks;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#asked.delete(ask);
        reject(new Error(`the projector did not answer within ${ANSWER_MS_MAX} ms`));
      }, ANSWER_MS_MAX);
      this.#asked.set(ask, { resolve, reject, timer });
      link.send({ ...question, ask });
    });
  }

  #start(): void {
    const child = spawn(process.execPath, [...LEAN, PROCESS], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
    this.#child = child;
    yieldToOthers(child.pid);
    this.#link = openLink<ToProjector, FromProjector>(child.stdio[3] as Duplex, {
      onMessage: (message) => this.#received(message),
      onClose: () => {},
    });
    this.#link.send({ type: 'begin', data: this.#data });
    if (this.#isPaused) this.#link.send({ type: 'pause' });
    child.once('error', (error) => this.#logger.error({ err: error }, 'the projector cannot be started'));
    child.once('exit', (code, signal) => {
      this.#link?.close();
      this.#link = null;
      for (const { reject, timer } of this.#asked.values()) {
        clearTimeout(timer);
        reject(new Error('the projector has ended'));
      }
      this.#asked.clear();
      if (this.#isStopping) return;
      this.#logger.error({ code, signal }, 'the projector has ended and is started again');
      this.#restart = setTimeout(() => this.#start(), RESTART_MS);
    });
  }

  #received(message: FromProjector): void {
    if (message.type === 'figures') this.#figures = message.figures;
    else if (message.type === 'trouble') this.#logger.warn({ message: message.message }, 'the projector is in trouble');
    else {
      const asked = this.#asked.get(message.ask);
      this.#asked.delete(message.ask);
      if (!asked) return;
      clearTimeout(asked.timer);
      if (message.failure === null) asked.resolve(message.answer);
      else asked.reject(new Error(message.failure));
    }
  }
}
