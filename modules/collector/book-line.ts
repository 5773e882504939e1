import type { BookUpdate } from '@millrace/contracts';

/** Updates kept while the whole book is fetched: a minute of the busiest one. */
const WAITING_MAX = 1_000;

/**
 * One instrument’s order book on its way in, at venues that send changes only: the whole book is fetched once, and the
 * changes that come meanwhile follow it.
 */
export class BookLine {
  readonly #deliver: (book: BookUpdate, whole: boolean) => void;
  readonly #fetch: (() => Promise<BookUpdate>) | null;
  readonly #onTrouble: (reason: string) => void;
  #waiting: BookUpdate[] | null = null;
  #hasWhole = false;

  constructor(
    deliver: (book: BookUpdate, whole: boolean) => void,
    fetch: (() => Promise<BookUpdate>) | null,
    onTrouble: (reason: string) => void,
  ) {
    this.#deliver = deliver;
    this.#fetch = fetch;
    this.#onTrouble = onTrouble;
  }

  replaced(book: BookUpdate): void {
    this.#hasWhole = true;
    this.#deliver(book, true);
  }

  updated(book: BookUpdate): void {
    if (!this.#hasWhole && this.#fetch && this.#waiting === null) void this.#fetchWhole();
    if (this.#waiting === null) return this.#deliver(book, false);
    this.#waiting.push(book);
    if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
  }

  /** The book is broken, or the connection was lost: the next update fetches it whole again. */
  reset(): void {
    this.#hasWhole = false;
  }

  async #fetchWhole(): Promise<void> {
    this.#waiting = [];
    // Asked for once, also when it fails: the next break or connection asks again.
    this.#hasWhole = true;
    try {
      const whole = await this.#fetch?.();
      if (whole) this.#deliver(whole, true);
    } catch (error) {
      this.#onTrouble(`the order book could not be fetched: ${error instanceof Error ? error.message : error}`);
    }
    const waiting = this.#waiting;
    this.#waiting = null;
    for (const update of waiting) this.#deliver(update, false);
  }
}
