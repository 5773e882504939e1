import {
  BrokenCircuitError,
  bulkhead,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
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

export interface OutsideCallFigures {
  readonly name: string;
  readonly circuit: 'closed' | 'open' | 'half-open';
  readonly calls: number;
  readonly failures: number;
  readonly retries: number;
}

const QUEUE_FACTOR = 10;

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
    const worth = handleWhen((error) => !(error instanceof BrokenCircuitError) && (options.worthRetrying?.(error as Error) ?? true));
    const retries = retry(worth, {
      maxAttempts: options.retriesMax,
      backoff: new ExponentialBackoff({ initialDelay: 200, maxDelay: 5_000 }),
    });
    retries.onRetry(() => this.#retries++);
    this.#breaker = circuitBreaker(worth, { halfOpenAfter: options.breakMs, breaker: new ConsecutiveBreaker(options.breakAfter) });
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

  figures(): OutsideCallFigures {
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
