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

export interface OutsideCallOptions {
  readonly name: string;
  readonly timeoutMs: number;
  readonly retriesMax: number;
  /** Failures in a row after which calls are refused at once, and for how long. */
  readonly breakAfter: number;
  readonly breakMs: number;
  /** Calls at a time; others wait in a queue of ten times that. */
  readonly concurrentMax: number;
  /** Which failures are worth another try; all of them when left out. */
  readonly worthRetrying?: (error: Error) => boolean;
}

export interface OutsideCallStats {
  readonly name: string;
  readonly circuit: 'closed' | 'open' | 'half-open';
  readonly calls: number;
  readonly failures: number;
  readonly retries: number;
}

const QUEUE_FACTOR = 10;
const WAIT_FIRST_MS = 200;
const WAIT_MOST_MS = 5_000;
/** An answer that asks to wait longer than this ends the call. */
const ASKED_WAIT_MOST_MS = 60_000;

/** A failure whose answer said when to try again (`Retry-After`). */
export class TryLater extends Error {
  readonly afterMs: number;

  constructor(message: string, afterMs: number) {
    super(message);
    this.afterMs = afterMs;
  }
}

/** What a `Retry-After` asks for, ms: a number of seconds or a date; 0 when there is none that can be read. */
export function retryAfterMs(header: string | null, now: number): number {
  if (header === null) return 0;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - now;
  return Number.isNaN(ms) ? 0 : Math.max(ms, 0);
}

/** Everything that asks the outside goes through one of these: a timeout, retries with jitter, a circuit breaker, a bound on how many at a time. */
export class OutsideCall {
  readonly #name: string;
  readonly #policy: IPolicy;
  readonly #breaker: CircuitBreakerPolicy;
  #calls = 0;
  #failures = 0;
  #retries = 0;

  constructor(options: OutsideCallOptions) {
    this.#name = options.name;
    const counts = handleWhen((error) => !(error instanceof BrokenCircuitError) && (options.worthRetrying?.(error as Error) ?? true));
    const worth = handleWhen((error) => counts.options.errorFilter(error) && askedWaitOf(error) <= ASKED_WAIT_MOST_MS);
    const retries = retry(worth, {
      maxAttempts: options.retriesMax,
      backoff: new DelegateBackoff(({ attempt, result }) => {
        const wait = Math.min(WAIT_MOST_MS, WAIT_FIRST_MS * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
        return Math.max(wait, 'error' in result ? askedWaitOf(result.error) : 0);
      }),
    });
    retries.onRetry(() => this.#retries++);
    this.#breaker = circuitBreaker(counts, { halfOpenAfter: options.breakMs, breaker: new ConsecutiveBreaker(options.breakAfter) });
    this.#policy = wrap(
      bulkhead(options.concurrentMax, options.concurrentMax * QUEUE_FACTOR),
      retries,
      this.#breaker,
      timeout(options.timeoutMs, TimeoutStrategy.Aggressive),
    );
  }

  async run<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#calls++;
    try {
      return await this.#policy.execute(({ signal }) => call(signal));
    } catch (error) {
      this.#failures++;
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

function askedWaitOf(error: unknown): number {
  return error instanceof TryLater ? error.afterMs : 0;
}
