/** A mutant that no test notices, and why that may be so: what it changes is not a rule. */
interface Explained {
  readonly file: string;
  /** The part of its line that it is in. */
  readonly line: string;
  readonly from: string;
  readonly why: string;
}

const ONE_OFF = 'A bound one off: its exact value is a choice, and no test should know it.';

export const EXPLAINED: readonly Explained[] = [
  { file: 'kernel/lifecycle.ts', line: 'if (beyond > 0) this.#retryLater', from: '>', why: ONE_OFF },
  { file: 'kernel/outbox.ts', line: 'this.#flights.length < FLIGHTS_MAX', from: '<', why: ONE_OFF },
  { file: 'kernel/outbox.ts', line: 'events < GROUP_EVENTS_MAX', from: '<', why: ONE_OFF },
  { file: 'kernel/snapshots.ts', line: 'unrecordedEvents(address) > CARRIED_EVENTS_MAX', from: '>', why: ONE_OFF },
  { file: 'kernel/ticks.ts', line: 'due - now > FAR_STEPS * tickMs', from: '>', why: ONE_OFF },
  { file: 'kernel/zone-entry.ts', line: 'now - at < FAILURES_SPAN_MS', from: '<', why: ONE_OFF },
  {
    file: 'kernel/outbox.ts',
    line: 'return end < 0 ? oldest',
    from: '<',
    why: 'Equivalent: the first batch is like itself, so it is never the first that differs.',
  },
  {
    file: 'kernel/outbox.ts',
    line: 'return lastSeqOf(batch) >= (this.#gaps.get(batch.zone)',
    from: '>=',
    why: 'Equivalent: a batch that ends at the seq that is due holds it, and so leaves no gap.',
  },
  {
    file: 'kernel/past.ts',
    line: "found > version ? '. Run the newer code.'",
    from: '>',
    why: 'Equivalent: the text of an error that is made only where the two versions differ.',
  },
  {
    file: 'kernel/durable-waiters.ts',
    line: 'this.#waiters.delete(zone);',
    from: 'this.#waiters.delete(zone);',
    why: 'Memory only: a list without waiters gives the same answers as none.',
  },
  {
    file: 'kernel/lifecycle.ts',
    line: 'this.#transitions.delete(address);',
    from: 'this.#transitions.delete(address);',
    why: 'Memory only: a transition that is over delays nothing.',
  },
];
