import type { Health, HealthCheckState } from '@millrace/contracts';

const EVERY_MS = 1_000;
/** Longest a check may take; one that takes longer has failed, and is not started again before it has ended. */
const CHECK_MS_MAX = 2_000;
/** Failures in a row before a check is failing; one alone may be a pause. */
const FAILURES_MAX = 2;
/** A dependency that has never been well may be starting for so long before it counts as failing. */
const STARTING_MS_MAX = 60_000;

/** One thing that a process depends on. */
export interface HealthCheck {
  /** As it is shown: `database`. */
  readonly name: string;
  /** Whether the process cannot serve without it. */
  readonly isRequired: boolean;
  /** Throws, or rejects, with the reason while it is not well. One that returns at once is failing with its first failure. */
  check(): undefined | Promise<unknown>;
}

interface Watched {
  readonly check: HealthCheck;
  status: HealthCheckState['status'];
  since: number;
  reason: string | null;
  failures: number;
  isRunning: boolean;
}

export interface HealthTiming {
  readonly everyMs: number;
  readonly checkMsMax: number;
  readonly startingMsMax: number;
}

/**
 * Asks everything that a process depends on how it is, again and again in the background: whoever asks for the health of the process is answered at once,
 * also while a dependency hangs.
 */
export class HealthChecks {
  readonly #watched: readonly Watched[];
  readonly #now: () => number;
  readonly #onChange: (state: HealthCheckState) => void;
  readonly #timing: HealthTiming;
  readonly #timer: NodeJS.Timeout;
  #isStopping = false;

  /** @param now epoch ms. @param onChange a check has begun to fail, or is well again */
  constructor(
    checks: readonly HealthCheck[],
    now: () => number,
    onChange: (state: HealthCheckState) => void,
    timing: HealthTiming = { everyMs: EVERY_MS, checkMsMax: CHECK_MS_MAX, startingMsMax: STARTING_MS_MAX },
  ) {
    this.#now = now;
    this.#onChange = (state) => {
      if (!this.#isStopping) onChange(state);
    };
    this.#timing = timing;
    this.#watched = checks.map((check) => ({ check, status: 'unknown', since: now(), reason: null, failures: 0, isRunning: false }));
    this.#timer = setInterval(() => void this.run(), timing.everyMs);
    this.#timer.unref();
  }

  /** Runs every check that is not under way, or those of a name. Resolves when they have ended, or taken too long. */
  async run(name?: string): Promise<void> {
    await Promise.all(this.#watched.filter(({ check }) => name === undefined || check.name === name).map((one) => this.#run(one)));
  }

  /** What readiness answers: `failing` while a required check fails, `starting` until all of them were well once. */
  report(): Health {
    const checks = this.#watched.map(stateOf);
    const required = checks.filter(({ isRequired }) => isRequired);
    const status =
      this.#isStopping || required.some((one) => one.status === 'failing')
        ? 'failing'
        : required.some((one) => one.status === 'unknown')
          ? 'starting'
          : 'ok';
    const parts = Object.fromEntries(checks.map((one) => [one.name, one.reason ?? one.status]));
    return { status, parts: { ...parts, ...(this.#isStopping && { process: 'stopping' }) }, checks };
  }

  /** From now on the process is not ready, whatever its dependencies are: that they end, too, is no news. */
  stopping(): void {
    this.#isStopping = true;
    clearInterval(this.#timer);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #run(one: Watched): Promise<void> {
    if (one.isRunning) return;
    let checking: undefined | Promise<unknown>;
    try {
      checking = one.check.check();
    } catch (error) {
      return this.#failed(one, error, 1);
    }
    if (!(checking instanceof Promise)) return this.#well(one);
    one.isRunning = true;
    const ended = checking.finally(() => {
      one.isRunning = false;
    });
    let late: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_resolve, reject) => {
      late = setTimeout(() => reject(new Error(`It did not answer within ${this.#timing.checkMsMax} ms.`)), this.#timing.checkMsMax);
    });
    // What takes too long fails at once: it had the time of several.
    let isLate = false;
    timeout.catch(() => {
      isLate = true;
    });
    await Promise.race([ended, timeout]).then(
      () => this.#well(one),
      (error) => this.#failed(one, error, isLate ? 1 : FAILURES_MAX),
    );
    clearTimeout(late);
    ended.catch(() => {});
  }

  #well(one: Watched): void {
    one.failures = 0;
    this.#set(one, 'ok', null);
  }

  #failed(one: Watched, error: unknown, failuresMax: number): void {
    one.failures++;
    const reason = error instanceof Error ? error.message : String(error);
    const isStarting = one.status === 'unknown' && this.#now() - one.since < this.#timing.startingMsMax;
    if (isStarting) one.reason = reason;
    else if (one.failures >= failuresMax) this.#set(one, 'failing', reason);
  }

  #set(one: Watched, status: HealthCheckState['status'], reason: string | null): void {
    one.reason = reason;
    if (one.status === status) return;
    const wasUnknown = one.status === 'unknown';
    one.status = status;
    one.since = this.#now();
    if (!(wasUnknown && status === 'ok')) this.#onChange(stateOf(one));
  }
}

function stateOf({ check: { name, isRequired }, status, since, reason }: Watched): HealthCheckState {
  return { name, isRequired, status, statusChangedAt: since, reason };
}
