/** A mutant that no test needs to detect, with the reason. */
interface Explained {
  readonly file: string;
  /** Part of the source line that contains the change. */
  readonly line: string;
  readonly from: string;
  readonly why: string;
}

const ONE_OFF = 'A limit changes by one: its exact value is arbitrary, and no test should depend on it.';

/** Mutants that may survive. */
export const EXPLAINED: readonly Explained[] = [
  { file: 'kernel/lifecycle.ts', line: 'if (beyond > 0) this.#retryLater', from: '>', why: ONE_OFF },
  { file: 'kernel/outbox.ts', line: 'events < GROUP_EVENTS_MAX', from: '<', why: ONE_OFF },
  { file: 'kernel/ticks.ts', line: 'due - now > FAR_STEPS * tickMs', from: '>', why: ONE_OFF },
  { file: 'kernel/zone-entry.ts', line: 'now - at < FAILURES_SPAN_MS', from: '<', why: ONE_OFF },
  {
    file: 'kernel/outbox.ts',
    line: 'return end < 0 ? oldest',
    from: '<',
    why: 'Equivalent: the first batch is compared with itself, so it is never the first one that differs.',
  },
  {
    file: 'kernel/outbox.ts',
    line: 'return lastSeqOf(batch) >= (this.#gaps.get(batch.zone)',
    from: '>=',
    why: 'Equivalent: a batch that ends at the expected seq contains it, so there is no gap.',
  },
  {
    file: 'kernel/state-replay.ts',
    line: "found > version ? '. Run the newer code.'",
    from: '>',
    why: 'Equivalent: the error is created only when the two versions differ.',
  },
  {
    file: 'kernel/durable-waiters.ts',
    line: 'this.#waiters.delete(zone);',
    from: 'this.#waiters.delete(zone);',
    why: 'Memory only: an empty list of waiters has the same effect as no list.',
  },
  {
    file: 'kernel/lifecycle.ts',
    line: 'this.#transitions.delete(address);',
    from: 'this.#transitions.delete(address);',
    why: 'Memory only: a completed transition delays nothing.',
  },
];
