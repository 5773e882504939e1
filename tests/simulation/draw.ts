import { Random } from '@millrace/base/random';

/** Draws random numbers, all from one seed. */
export class Draw {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  /** A number in [least, most). */
  between(least: number, most: number): number {
    return least + this.#random.next() * (most - least);
  }

  chance(share: number): boolean {
    return this.#random.next() < share;
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random.next() * from.length)] as T;
  }
}
