/** How long a log may take nothing, while events wait for it, before that is said. */
const WAITING_MS = 2_000;

/** How events go to a log: at once, not at all for the moment although nothing has failed yet, or by way of the disk. */
export type OutboxMode = 'flowing' | 'waiting' | 'spooling';

/** What the kernel’s statistics of an outbox say. */
interface OutboxProgress {
  readonly mode: 'flowing' | 'spooling';
  readonly waitingEvents: number;
  readonly appendedEvents: number;
}

/** Tells from the statistics of outboxes, as they come, which of them the log takes nothing from. */
export class OutboxModes {
  /** By outbox, how many events the log has taken, and since when it has taken no more while some wait; ms of the clock. */
  readonly #known = new Map<string, { appended: number; since: number }>();
  readonly #now: () => number;

  /** @param now ms of a clock that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** To be called again and again for each outbox, once a second or so. */
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
