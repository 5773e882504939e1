import { join } from 'node:path';
import type { DatabaseAddress } from '@millrace/database';
import type { ConsumerStats } from '@millrace/log';
import { SupervisedProcess } from '@millrace/processes';
import type { Logger } from '@millrace/telemetry';
import type { OpenStorePermit, OpenStoreRequest, StoreOpenings, TopicPlace } from '@millrace/topics';
import type { FromProjector, ProjectorQuery, ToProjector } from './projector.ts';

const REPLY_MS_MAX = 10_000;
/** A process that has sent no stats for this time does not respond. It sends them once per second. */
const SILENT_MS_MAX = 10_000;

interface PendingRequest {
  resolve(answer: unknown): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

type ProjectorRequest =
  | { readonly type: 'query'; readonly query: ProjectorQuery }
  | { readonly type: 'replay'; readonly deadLetter: number }
  | { readonly type: 'caught-up' | 'skip-dropped' };

/** The server’s handle of the projector process, which is restarted when it ends. */
export class ProjectorHandle {
  readonly #process: SupervisedProcess<ToProjector | OpenStorePermit, FromProjector | OpenStoreRequest>;
  readonly #logger: Logger;
  #pending = new Map<number, PendingRequest>();
  #requests = 0;
  #stats: ConsumerStats | null = null;
  /** Time of the newest stats, ms of `performance.now`. Null until the process has sent some. */
  #heardAt: number | null = null;
  #isPaused = false;
  #opening: StoreOpenings | null = null;
  #wantsToOpen = false;

  /** @param place of the log to read */
  constructor({ folder: data, log }: Pick<TopicPlace, 'folder' | 'log'>, database: DatabaseAddress, logger: Logger) {
    this.#logger = logger;
    this.#process = new SupervisedProcess<ToProjector | OpenStorePermit, FromProjector | OpenStoreRequest>(
      {
        name: 'the projector',
        file: join(import.meta.dirname, 'projector-process.ts'),
        data,
        begin: () => [{ type: 'begin', data, log, database }, ...(this.#isPaused ? [{ type: 'pause' } as const] : [])],
        stop: { type: 'stop' },
        onMessage: (message) => this.#received(message),
        onEnded: () => this.#ended(),
      },
      logger,
    );
  }

  /** Call it after the server has opened the stores itself; until then no child process may open them. */
  opensBy(opening: StoreOpenings): void {
    this.#opening = opening;
    if (this.#wantsToOpen) this.#open();
  }

  /** Starts the process. Call it after the tables have been created. */
  start(): void {
    this.#process.start();
  }

  /** The newest stats of the projector, of this process or an earlier one; null before the first ones. */
  get stats(): ConsumerStats | null {
    return this.#stats;
  }

  /** Reason why the stats are not of now. Null while the process sends them. */
  get failure(): string | null {
    if (this.#heardAt === null) return this.#stats === null ? 'It is starting.' : 'Its process has ended and is being restarted.';
    return performance.now() - this.#heardAt > SILENT_MS_MAX ? 'Its process does not respond.' : null;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  pause(): void {
    this.#isPaused = true;
    this.#process.send({ type: 'pause' });
  }

  resume(): void {
    this.#isPaused = false;
    this.#process.send({ type: 'resume' });
  }

  query(query: ProjectorQuery): Promise<unknown> {
    return this.#ask({ type: 'query', query });
  }

  async replay(deadLetter: number): Promise<boolean> {
    return (await this.#ask({ type: 'replay', deadLetter })) === true;
  }

  async caughtUp(): Promise<void> {
    await this.#ask({ type: 'caught-up' });
  }

  /** How many gaps were skipped. */
  async skipDropped(): Promise<number> {
    return Number(await this.#ask({ type: 'skip-dropped' }));
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }

  /** @throws when the projector is unavailable, does not reply in time, or fails on the request */
  #ask(request: ProjectorRequest): Promise<unknown> {
    const ask = ++this.#requests;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(ask);
        reject(new Error(`the projector did not answer within ${REPLY_MS_MAX} ms`));
      }, REPLY_MS_MAX);
      this.#pending.set(ask, { resolve, reject, timer });
      if (this.#process.send({ ...request, ask })) return;
      clearTimeout(timer);
      this.#pending.delete(ask);
      reject(new Error('the projector is starting'));
    });
  }

  #open(): void {
    this.#wantsToOpen = this.#opening === null;
    const { pid } = this.#process;
    if (pid !== undefined) this.#opening?.next(pid, 'log', () => this.#process.send({ type: 'may-open' }));
  }

  #ended(): void {
    this.#wantsToOpen = false;
    this.#heardAt = null;
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new Error('the projector has ended'));
    }
    this.#pending.clear();
  }

  #received(message: FromProjector | OpenStoreRequest): void {
    if (message.type === 'wants-to-open') this.#open();
    else if (message.type === 'stats') {
      this.#stats = message.stats;
      this.#heardAt = performance.now();
    } else if (message.type === 'failure') this.#logger.warn({ message: message.message }, 'the projector reported a failure');
    else {
      const pending = this.#pending.get(message.ask);
      this.#pending.delete(message.ask);
      if (!pending) return;
      clearTimeout(pending.timer);
      if (message.failure === null) pending.resolve(message.answer);
      else pending.reject(new Error(message.failure));
    }
  }
}
