import type { EventStats } from '@millrace/contracts';

/** Window of a rate, seconds. */
const OVER_SECONDS = 10;

/** Rates of decided events by type. */
export class Flow {
  readonly #totals = new Map<string, number>();
  /** Counts per second of the window, the current second last. */
  #seconds: Map<string, number>[] = [new Map()];

  /** Adds counts of newly decided events, by `kind/type`. */
  add(counts: Iterable<readonly [name: string, count: number]>): void {
    const present = this.#seconds.at(-1) as Map<string, number>;
    for (const [name, count] of counts) {
      this.#totals.set(name, (this.#totals.get(name) ?? 0) + count);
      present.set(name, (present.get(name) ?? 0) + count);
    }
  }

  /** Starts a new second. Call once per second. */
  turn(): void {
    this.#seconds.push(new Map());
    if (this.#seconds.length > OVER_SECONDS + 1) this.#seconds.shift();
  }

  types(): EventStats['types'] {
    const whole = this.#seconds.slice(0, -1);
    return [...this.#totals]
      .map(([name, total]) => {
        const [kind = '', type = ''] = name.split('/');
        const counted = whole.reduce((sum, second) => sum + (second.get(name) ?? 0), 0);
        return { kind, type, total, perSecond: whole.length === 0 ? 0 : counted / whole.length };
      })
      .sort((one, other) => other.perSecond - one.perSecond || other.total - one.total);
  }
}
