import type { EventStats } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';

/** Turns in the window of a rate: about ten seconds. */
const OVER_TURNS = 10;

/** Counts from one turn to the next. */
interface Turn {
  /** Begin, ms of the clock’s `elapsed`: a busy or suspended process turns late. */
  readonly from: number;
  readonly counts: Map<string, number>;
}

/** Rates of decided events by type. */
export class Flow {
  readonly #totals = new Map<string, number>();
  /** Turns of the window, the current one last. */
  readonly #turns: [Turn, ...Turn[]];
  readonly #clock: Pick<Clock, 'elapsed'>;

  constructor(clock: Pick<Clock, 'elapsed'>) {
    this.#clock = clock;
    this.#turns = [{ from: clock.elapsed(), counts: new Map() }];
  }

  /** Adds counts of newly decided events, by `kind/type`. */
  add(counts: Iterable<readonly [name: string, count: number]>): void {
    const { counts: present } = this.#turns.at(-1) as Turn;
    for (const [name, count] of counts) {
      this.#totals.set(name, (this.#totals.get(name) ?? 0) + count);
      present.set(name, (present.get(name) ?? 0) + count);
    }
  }

  /** Call it once per second. */
  turn(): void {
    this.#turns.push({ from: this.#clock.elapsed(), counts: new Map() });
    if (this.#turns.length > OVER_TURNS + 1) this.#turns.shift();
  }

  types(): EventStats['types'] {
    const whole = this.#turns.slice(0, -1);
    const seconds = ((this.#turns.at(-1) as Turn).from - this.#turns[0].from) / 1_000;
    return [...this.#totals]
      .map(([name, total]) => {
        const [kind = '', type = ''] = name.split('/');
        const counted = whole.reduce((sum, { counts }) => sum + (counts.get(name) ?? 0), 0);
        return { kind, type, total, perSecond: seconds === 0 ? 0 : counted / seconds };
      })
      .sort((one, other) => other.perSecond - one.perSecond || other.total - one.total);
  }
}
