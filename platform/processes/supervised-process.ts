import { messageOf } from '@millrace/kernel';
import type { Logger } from '@millrace/telemetry';
import { type ChildOptions, type LinkedProcess, type ProcessEnd, startLinkedProcess } from './child-process.ts';
import { SUPERVISED_FLAGS } from './early-process.ts';
import { lowerPriority } from './priority.ts';

const RESTART_MS = 1_000;
const STOP_MS_MAX = 9_000;

/** How to run a child process. */
export interface SupervisedProcessOptions<Out extends object, In extends object> extends Omit<ChildOptions<In>, 'flags'> {
  /** Prepares a start; returns the first messages to the process. If it throws, the start is tried again. */
  readonly begin: () => readonly Out[];
  /** Message that makes the process stop gracefully. */
  readonly stop: Out;
  readonly onEnded?: () => void;
  /** Whether the start of the server waits for the process, which lowers its priority itself when it is ready. */
  readonly isAwaited?: boolean;
}

/** A child process that restarts when it ends or cannot be started. */
export class SupervisedProcess<Out extends object, In extends object> {
  readonly #options: SupervisedProcessOptions<Out, In>;
  readonly #logger: Logger;
  #child: LinkedProcess<Out> | null = null;
  #restart: NodeJS.Timeout | null = null;
  #isStopping = false;

  constructor(options: SupervisedProcessOptions<Out, In>, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
  }

  /** Starts the process unless it runs. */
  start(): void {
    if (this.#isStopping || this.#child) return;
    let first: readonly Out[];
    try {
      first = this.#options.begin();
    } catch (error) {
      return this.#ended({ code: null, signal: null, error: error as Error });
    }
    const child = startLinkedProcess<Out, In>({ ...this.#options, flags: SUPERVISED_FLAGS });
    this.#child = child;
    if (child.pid !== undefined && !this.#options.isAwaited) lowerPriority(child.pid);
    for (const message of first) child.send(message);
    void child.ended.then((end) => this.#ended(end));
  }

  #ended({ code, signal, error }: ProcessEnd): void {
    const { name, onEnded } = this.#options;
    this.#child = null;
    onEnded?.();
    if (this.#isStopping) return;
    if (error) this.#logger.error({ reason: messageOf(error) }, `${name} cannot be started; the server tries again`);
    else {
      // A terminal sends SIGINT, and systemd SIGTERM, to the whole process group. A process that has just started does not ignore them yet.
      // The server is probably stopping too, so this is not an error.
      const level = signal === 'SIGINT' || signal === 'SIGTERM' ? 'info' : 'error';
      this.#logger[level]({ code, signal }, `${name} has ended and will be restarted`);
    }
    this.#restart = setTimeout(() => this.start(), RESTART_MS);
  }

  /** Pid of the running process. Undefined while none runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Sends a message. @returns false when no process runs */
  send(message: Out): boolean {
    this.#child?.send(message);
    return this.#child !== null;
  }

  /** Stops the process for good: gracefully, or with SIGKILL after `STOP_MS_MAX`. @param isUnresponsive kills it at once */
  async stop(isUnresponsive = false): Promise<void> {
    this.#isStopping = true;
    if (this.#restart) clearTimeout(this.#restart);
    const child = this.#child;
    if (!child) return;
    child.send(this.#options.stop);
    const late = setTimeout(child.kill, isUnresponsive ? 0 : STOP_MS_MAX);
    await child.ended;
    clearTimeout(late);
  }
}
