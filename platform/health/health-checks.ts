import type { Health, HealthCheckState } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';

const EVERY_MS = 1_000;
/** Maximum duration of a check. A longer check fails, and is not started again before it ends. */
const CHECK_MS_MAX = 2_000;
/** Consecutive failures before the status is `failing`. A single failure may be a pause. */
const FAILURES_MAX = 2;
/** Maximum start time of a dependency. A check that has never succeeded fails after it. */
const STARTING_MS_MAX = 60_000;

/** Check of entry dependency of a process. */
export interface HealthCheck {
  /** Name in the report, such as `database`. */
  readonly name: string;
  /** Whether the process is not ready without it. */
  readonly isRequired: boolean;
  /** Throws or rejects with the reason while the dependency does not work. A synchronous check fails with its first failure. */
  check(): undefined | Promise<unknown>;
}

interface CheckEntry {
  readonly check: HealthCheck;
  status: HealthCheckState['status'];
  since: number;
  /** Time without success after which its start has failed, elapsed ms. */
  readonly startingUntil: number;
  reason: string | null;
  failures: number;
  isRunning: boolean;
}

/** Interval and limits of the checks, ms. */
export interface HealthTiming {
  readonly everyMs: number;
  readonly checkMsMax: number;
  readonly startingMsMax: number;
}

/**
 * Runs the checks of all dependencies periodically in the background. The report returns at once, even while a dependency hangs.
 */
export class HealthChecks {
  readonly #entries: readonly CheckEntry[];
  readonly #clock: Pick<Clock, 'now' | 'elapsed'>;
  readonly #onChange: (state: HealthCheckState) => void;
  readonly #timing: HealthTiming;
  readonly #timer: NodeJS.Timeout;
  #isStopping = false;

  /** @param onChange called when a check starts to fail, and when it succeeds again */
  constructor(
    checks: readonly HealthCheck[],
    clock: Pick<Clock, 'now' | 'elapsed'>,
    onChange: (state: HealthCheckState) => void,
    timing: HealthTiming = { everyMs: EVERY_MS, checkMsMax: CHECK_MS_MAX, startingMsMax: STARTING_MS_MAX },
  ) {
    this.#clock = clock;
    this.#onChange = (state) => {
      if (!this.#isStopping) onChange(state);
    };
    this.#timing = timing;
    const startingUntil = clock.elapsed() + timing.startingMsMax;
    this.#entries = checks.map((check) => ({
      check,
      status: 'unknown',
      since: clock.now(),
      startingUntil,
      reason: null,
      failures: 0,
      isRunning: false,
    }));
    this.#timer = setInterval(() => void this.run(), timing.everyMs);
    this.#timer.unref();
  }

  /** Runs every check that is not running, or only the checks with this name. Resolves when they have ended or timed out. */
  async run(name?: string): Promise<void> {
    await Promise.all(this.#entries.filter(({ check }) => name === undefined || check.name === name).map((entry) => this.#run(entry)));
  }

  /** State for the readiness endpoint: `failing` while a required check fails, `starting` until each has succeeded once. */
  report(): Health {
    const checks = this.#entries.map(stateOf);
    const required = checks.filter(({ isRequired }) => isRequired);
    const status =
      this.#isStopping || required.some((entry) => entry.status === 'failing')
        ? 'failing'
        : required.some((entry) => entry.status === 'unknown')
          ? 'starting'
          : 'ok';
    const parts = Object.fromEntries(checks.map((entry) => [entry.name, entry.reason ?? entry.status]));
    return { status, parts: { ...parts, ...(this.#isStopping && { process: 'stopping' }) }, checks };
  }

  /** Makes the process not ready and stops the checks. No change is reported from then on: the dependencies stop too. */
  stopping(): void {
    this.#isStopping = true;
    clearInterval(this.#timer);
  }

  /** Stops the checks. */
  close(): void {
    clearInterval(this.#timer);
  }

  async #run(entry: CheckEntry): Promise<void> {
    if (entry.isRunning) return;
    let checking: undefined | Promise<unknown>;
    try {
      checking = entry.check.check();
    } catch (error) {
      return this.#failed(entry, error, 1);
    }
    if (!(checking instanceof Promise)) return this.#succeeded(entry);
    entry.isRunning = true;
    const ended = checking.finally(() => {
      entry.isRunning = false;
    });
    let late: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_resolve, reject) => {
      late = setTimeout(() => reject(new Error(`No response within ${this.#timing.checkMsMax} ms.`)), this.#timing.checkMsMax);
    });
    // A timeout counts as enough failures: it lasted longer than several checks.
    let isLate = false;
    timeout.catch(() => {
      isLate = true;
    });
    await Promise.race([ended, timeout]).then(
      () => this.#succeeded(entry),
      (error) => this.#failed(entry, error, isLate ? 1 : FAILURES_MAX),
    );
    clearTimeout(late);
    ended.catch(() => {});
  }

  #succeeded(entry: CheckEntry): void {
    entry.failures = 0;
    this.#set(entry, 'ok', null);
  }

  #failed(entry: CheckEntry, error: unknown, failuresMax: number): void {
    entry.failures++;
    const reason = error instanceof Error ? error.message : String(error);
    const isStarting = entry.status === 'unknown' && this.#clock.elapsed() < entry.startingUntil;
    if (isStarting) entry.reason = reason;
    else if (entry.failures >= failuresMax) this.#set(entry, 'failing', reason);
  }

  #set(entry: CheckEntry, status: HealthCheckState['status'], reason: string | null): void {
    entry.reason = reason;
    if (entry.status === status) return;
    const wasUnknown = entry.status === 'unknown';
    entry.status = status;
    entry.since = this.#clock.now();
    if (!(wasUnknown && status === 'ok')) this.#onChange(stateOf(entry));
  }
}

function stateOf({ check: { name, isRequired }, status, since, reason }: CheckEntry): HealthCheckState {
  return { name, isRequired, status, statusChangedAt: since, reason };
}
