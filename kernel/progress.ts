/** Counts batches taken, and how many of them are recorded: in the log, on the spool, or known to be lost. They are recorded in order. */
export class Progress {
  #taken = 0;
  #recorded = 0;
  #changed = Promise.withResolvers<void>();

  take(batches: number): void {
    this.#taken += batches;
  }

  record(batches: number): void {
    this.#recorded += batches;
    this.notify();
  }

  /** Counts all batches as recorded. */
  recordAll(): void {
    this.record(this.#taken - this.#recorded);
  }

  /** Resolves when all batches taken so far are recorded. */
  drained(): Promise<void> {
    const upTo = this.#taken;
    return this.until(() => this.#recorded >= upTo);
  }

  /** Resolves when a condition holds. It is checked with each recorded batch, and with each `notify`. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#changed.promise;
  }

  notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
