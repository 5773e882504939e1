/** Time without an accepted event, while events wait, after which the mode is `waiting`. */
const WAITING_MS = 2_000;

/** How events reach the log. `flowing`: at once. `waiting`: the log accepts none, but reports no error. `spooling`: through the spool on disk. */
export type OutboxMode = 'flowing' | 'waiting' | 'spooling';

/** Part of the kernel’s outbox statistics. */
interface OutboxProgress {
  readonly mode: 'flowing' | 'spooling';
  readonly waitingEvents: number;
  readonly appendedEvents: number;
}

/** Determines the mode of outboxes from successive statistics. */
export class OutboxModes {
  /** By outbox: number of events in the log, and the time from which it has not grown while events wait, ms of the clock. */
  readonly #known = new Map<string, { appended: number; since: number }>();
  readonly #now: () => number;

  /** @param now ms of a monotonic clock */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Current mode of an outbox. Call it for each outbox about once per second. */
  modeOf(name: string, { mode, waitingEvents, appendedEvents }: OutboxProgress): OutboxMode {
    const now = this.#now();
    const known = this.#known.get(name);
    if (!known || waitingEvents === 0 || known.appended !== appendedEvents) {
      this.#known.set(name, { appended: appendedEvents, since: now });
      return mode;
    }
    return mode === 'flowing' && now - known.since >= WAITING_MS ? 'waiting' : mode;
  }
}
