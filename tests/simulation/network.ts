import type { Machine, Scheduler } from './scheduler.ts';

/** Quality of a link between two machines, one way. */
export interface Condition {
  readonly lost: number;
  readonly repeated: number;
  readonly delayMs: readonly [least: number, most: number];
  /** Whether a message may overtake another. */
  readonly reordered: boolean;
}

const GOOD: Condition = { lost: 0, repeated: 0, delayMs: [0.05, 1], reordered: false };

/** Messages between machines, each sent independently, with the current quality of the link. */
export class Network {
  readonly #scheduler: Scheduler;
  readonly #conditions = new Map<string, Condition>();
  readonly #lastArrival = new Map<string, number>();

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** Both directions; null for a perfect link. */
  set(one: Machine, other: Machine, condition: Condition | null): void {
    for (const link of [`${one.name}>${other.name}`, `${other.name}>${one.name}`]) {
      if (condition) this.#conditions.set(link, condition);
      else this.#conditions.delete(link);
    }
  }

  heal(): void {
    this.#conditions.clear();
  }

  /** The receiver gets a copy. */
  send<M>(from: Machine, to: Machine, message: M, deliver: (message: M) => void): void {
    const link = `${from.name}>${to.name}`;
    const condition = this.#conditions.get(link) ?? GOOD;
    const copies = this.#scheduler.chance(condition.lost) ? 0 : this.#scheduler.chance(condition.repeated) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const [least, most] = condition.delayMs;
      let arrival = this.#scheduler.now + this.#scheduler.between(least, most);
      if (!condition.reordered) arrival = Math.max(arrival, this.#lastArrival.get(link) ?? 0);
      this.#lastArrival.set(link, arrival);
      const copied = structuredClone(message);
      this.#scheduler.at(arrival, () => to.run(() => deliver(copied)));
    }
  }
}

/** A connection like TCP: bytes in order until it is lost. Then neither side knows what the other has received. */
export class Wire {
  isOpen = true;
  readonly #scheduler: Scheduler;
  readonly #arrivals = { there: 0, back: 0 };
  readonly #onBroken: () => void;

  constructor(scheduler: Scheduler, onBroken: () => void) {
    this.#scheduler = scheduler;
    this.#onBroken = onBroken;
  }

  carry(way: 'there' | 'back', to: Machine | null, deliver: () => void): void {
    if (!this.isOpen) return;
    const arrival = Math.max(this.#scheduler.now + this.#scheduler.between(0.1, 15), this.#arrivals[way]);
    this.#arrivals[way] = arrival;
    this.#scheduler.at(arrival, () => {
      if (!this.isOpen) return;
      if (to) to.run(deliver);
      else deliver();
    });
  }

  break(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#onBroken();
  }
}
