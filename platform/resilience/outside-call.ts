import {
  BrokenCircuitError,
  bulkhead,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  DelegateBackoff,
  handleWhen,
  type IPolicy,
  retry,
  TimeoutStrategy,
  timeout,
  wrap,
} from 'cockatiel';

/** Timeout, retries and limits for the calls to one outside service. */
export interface OutsideCallOptions {
  /** Name in statistics. */
  readonly name: string;
  readonly timeoutMs: number;
  readonly retriesMax: number;
  /** Consecutive failures that open the circuit breaker, and for how long it stays open. Calls then fail at once. */
  readonly breakAfter: number;
  readonly breakMs: number;
  /** Maximum number of concurrent calls. */
  readonly concurrentMax: number;
  /** Maximum number of calls that wait for their turn, before their timeout starts; more are refused. Default: ten times `concurrentMax`. */
  readonly waitingMax?: number;
  /** Whether to retry after an error. Default: always. */
  readonly isRetryable?: (error: Error) => boolean;
}

/** Statistics of the calls to one outside service. */
export interface OutsideCallStats {
  readonly name: string;
  readonly circuit: 'closed' | 'open' | 'half-open';
  readonly calls: number;
  readonly failures: number;
  readonly retries: number;
}

const QUEUE_FACTOR = 10;
const FIRST_DELAY_MS = 200;
const DELAY_MS_MAX = 5_000;
/** A response with a longer `Retry-After` fails the call. */
const RETRY_AFTER_MS_MAX = 60_000;
/** Longest time without calls that a service may ask for, ms. */
const PAUSE_MS_MAX = 3_600_000;
/** A timer may fire this much early, ms. */
const EARLY_MS = 5;

/** A failure whose response says when to retry (`Retry-After`). */
export class RetryAfterError extends Error {
  readonly afterMs: number;

  constructor(message: string, afterMs: number) {
    super(message);
    this.afterMs = afterMs;
  }
}

/** Delay that a `Retry-After` header requests, ms. The header has seconds or a date. 0 when it is missing or invalid. @param now epoch ms */
export function retryAfterMs(header: string | null, now: number): number {
  if (header === null) return 0;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - now;
  return Number.isNaN(ms) ? 0 : Math.max(ms, 0);
}

/** Calls an outside service with a timeout, retries with jitter, a circuit breaker and a limit of concurrent calls. */
export class OutsideCall {
  readonly #name: string;
  readonly #policy: IPolicy;
  readonly #breaker: CircuitBreakerPolicy;
  #calls = 0;
  #failures = 0;
  #retries = 0;
  /** The service asked for no calls before this time, ms of the monotonic clock, with this error. */
  #pause: { readonly until: number; readonly message: string } = { until: 0, message: '' };

  constructor(options: OutsideCallOptions) {
    this.#name = options.name;
    const countedErrors = handleWhen((error) => !(error instanceof BrokenCircuitError) && (options.isRetryable?.(error as Error) ?? true));
    const retriedErrors = handleWhen((error) => countedErrors.options.errorFilter(error) && retryAfterOf(error) <= RETRY_AFTER_MS_MAX);
    const retries = retry(retriedErrors, {
      maxAttempts: options.retriesMax,
      backoff: new DelegateBackoff(({ attempt, result }) => {
        const delay = Math.min(DELAY_MS_MAX, FIRST_DELAY_MS * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
        return Math.max(delay, 'error' in result ? retryAfterOf(result.error) : 0);
      }),
    });
    retries.onRetry(() => this.#retries++);
    this.#breaker = circuitBreaker(countedErrors, { halfOpenAfter: options.breakMs, breaker: new ConsecutiveBreaker(options.breakAfter) });
    this.#policy = wrap(
      bulkhead(options.concurrentMax, options.waitingMax ?? options.concurrentMax * QUEUE_FACTOR),
      retries,
      this.#breaker,
      timeout(options.timeoutMs, TimeoutStrategy.Aggressive),
    );
  }

  /**
   * Runs a call. Until the time that a response asked for (`Retry-After`) has passed, no call is made: one with retries left waits, up to a minute.
   * @param call must stop when its signal aborts
   * @throws the last error of the call, or an error of the policies
   */
  async run<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#calls++;
    try {
      return await this.#policy.execute(({ signal }) => this.#unlessPaused(() => call(signal)));
    } catch (error) {
      this.#failures++;
      throw error;
    }
  }

  async #unlessPaused<T>(call: () => Promise<T>): Promise<T> {
    const leftMs = this.#pause.until - performance.now();
    if (leftMs > EARLY_MS) throw new RetryAfterError(this.#pause.message, leftMs);
    try {
      return await call();
    } catch (error) {
      if (error instanceof RetryAfterError) {
        const until = performance.now() + Math.min(error.afterMs, PAUSE_MS_MAX);
        if (until > this.#pause.until) this.#pause = { until, message: error.message };
      }
      throw error;
    }
  }

  stats(): OutsideCallStats {
    const circuit = {
      [CircuitState.Closed]: 'closed',
      [CircuitState.Open]: 'open',
      [CircuitState.HalfOpen]: 'half-open',
      [CircuitState.Isolated]: 'open',
    } as const;
    return {
      name: this.#name,
      circuit: circuit[this.#breaker.state],
      calls: this.#calls,
      failures: this.#failures,
      retries: this.#retries,
    };
  }
}

function retryAfterOf(error: unknown): number {
  return error instanceof RetryAfterError ? error.afterMs : 0;
}
