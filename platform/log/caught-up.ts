/** Callers that wait until a consumer group has read the log up to some ends. */
export class CaughtUpWaiters {
  #waiting: { readonly ends: readonly number[]; readonly resolve: () => void }[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  add(ends: readonly number[]): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push({ ends, resolve }));
  }

  /** Resolves those whose ends are reached. */
  resolve(hasReached: (ends: readonly number[]) => boolean): void {
    const before = this.#waiting;
    this.#waiting = [];
    for (const waiter of before) {
      if (hasReached(waiter.ends)) waiter.resolve();
      else this.#waiting.push(waiter);
    }
  }
}
