import type { EventStats } from '@millrace/contracts';

/** Seconds that a rate is taken over. */
const OVER_SECONDS = 10;

/** How many events of each type are decided, by whoever decides them. */
export class Flow {
  readonly #totals = new Map<string, number>();
  /** Counts of the newest seconds, the present one last. */
  #seconds: Map<string, number>[] = [new Map()];

  /** Adds what was decided lately, by `kind/type`. */
  add(counts: Iterable<readonly [name: string, count: number]>): void {
    const present = this.#seconds.at(-1) as Map<string, number>;
    for (const [name, count] of counts) {
      this.#totals.set(name, (this.#totals.get(name) ?? 0) + count);
      present.set(name, (present.get(name) ?? 0) + count);
    }
  }

  /** Call once a second. */
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
