import type { BookUpdate } from '@millrace/contracts';
import { type Clock, messageOf } from '@millrace/kernel';
import { Backoff } from '@millrace/resilience';

/** Updates kept while the whole book is fetched: a minute of the busiest one. */
const WAITING_MAX = 1_000;
const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 30_000;

export interface BookSynchronizerOptions {
  readonly clock: Clock;
  readonly deliver: (book: BookUpdate, whole: boolean) => void;
  /** Asks the venue for the whole book; null where its stream has it. */
  readonly fetch: (() => Promise<BookUpdate>) | null;
  /** The book that was delivered cannot be trusted any more, and why. */
  readonly lost: (reason: string) => void;
  readonly onFailure: () => void;
  /** Requests the whole book from the stream of the venue, when it cannot be fetched. */
  readonly ask: () => void;
}

/** Minimum time between two requests for a whole book because it is broken, ms: each whole book of the venue may break again. */
const ASK_EVERY_MS = 5_000;

/** `empty`: no whole book. `fetching`: the snapshot is requested or will be retried, and updates are buffered. `whole`: updates are delivered. */
type State = 'empty' | 'fetching' | 'whole';

/**
 * One instrument’s order book on its way in, at venues that send changes only: the whole book is fetched, again and again until it comes, and the
 * changes that came meanwhile follow it.
 */
export class BookSynchronizer {
  readonly #options: BookSynchronizerOptions;
  readonly #backoff = new Backoff(RETRY_FIRST_MS, RETRY_MOST_MS);
  #state: State = 'empty';
  #waiting: BookUpdate[] = [];
  #cancelRetry = () => {};
  #cancelAsk = () => {};
  #askedAt = Number.NEGATIVE_INFINITY;
  /** Number of resets. A response requested before the newest reset is discarded. */
  #resets = 0;

  constructor(options: BookSynchronizerOptions) {
    this.#options = options;
  }

  replaced(book: BookUpdate): void {
    this.#restart('whole');
    this.#options.deliver(book, true);
  }

  updated(book: BookUpdate): void {
    if (this.#state === 'whole' || !this.#options.fetch) return this.#options.deliver(book, false);
    this.#waiting.push(book);
    if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
    if (this.#state === 'empty') this.#fetchWhole(this.#options.fetch);
  }

  /** The connection was lost: the next update fetches the book whole again. */
  reset(reason: string): void {
    this.#restart('empty');
    this.#options.lost(reason);
  }

  /** A change is missing, because its message was refused or lost, or the book is wrong: a whole book is needed. */
  broken(reason: string): void {
    const { clock, fetch, ask } = this.#options;
    this.reset(reason);
    // Updates are kept until the whole book is fetched.
    if (fetch) this.#state = 'fetching';
    this.#cancelAsk = clock.after(Math.max(0, this.#askedAt + ASK_EVERY_MS - clock.elapsed()), () => {
      this.#askedAt = clock.elapsed();
      if (fetch) this.#fetchWhole(fetch);
      else ask();
    });
  }

  #restart(state: State): void {
    this.#cancelRetry();
    this.#cancelAsk();
    this.#resets++;
    this.#waiting = [];
    this.#state = state;
  }

  #fetchWhole(fetch: () => Promise<BookUpdate>): void {
    this.#state = 'fetching';
    const resets = this.#resets;
    const isCurrent = () => resets === this.#resets;
    fetch().then(
      (whole) => {
        if (!isCurrent()) return;
        const waiting = this.#waiting;
        this.#restart('whole');
        this.#backoff.reset();
        this.#options.deliver(whole, true);
        for (const update of waiting) this.#options.deliver(update, false);
      },
      (error: unknown) => {
        if (!isCurrent()) return;
        const waitMs = this.#backoff.next();
        this.#options.onFailure();
        this.#options.lost(`the whole book could not be fetched: ${messageOf(error)}; it is asked for again`);
        this.#cancelRetry = this.#options.clock.after(waitMs, () => this.#fetchWhole(fetch));
      },
    );
  }
}
