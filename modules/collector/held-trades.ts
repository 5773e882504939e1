import type { Trade } from '@millrace/contracts';
import { isAfter } from './trade-order.ts';

/** A trade that is kept back. */
export interface HeldTrade {
  readonly trade: Trade;
  readonly numbered: boolean;
  /** How many connections had been lost when it came: before the first of each connection trades may be missing. */
  readonly losses: number;
  /** Counts what is kept back, in the order in which it came. */
  readonly arrival: number;
}

/** Trades kept back, in order of rank. */
export class HeldTrades {
  #trades: HeldTrade[] = [];

  get size(): number {
    return this.#trades.length;
  }

  get first(): HeldTrade | undefined {
    return this.#trades[0];
  }

  get newest(): HeldTrade | undefined {
    return this.#trades.at(-1);
  }

  add(one: HeldTrade): void {
    let at = this.#trades.length;
    while (at > 0 && isAfter((this.#trades[at - 1] as HeldTrade).trade, one.trade, one.numbered)) at--;
    this.#trades.splice(at, 0, one);
  }

  removeFirst(): void {
    this.#trades.shift();
  }

  /** Removes and returns all of them. */
  takeAll(): HeldTrade[] {
    const taken = this.#trades;
    this.#trades = [];
    return taken;
  }

  /** Passes on the trades that follow each other by number, from `due` on, without a gap; removes them. */
  passFollowing(pass: (one: HeldTrade) => void, due: () => number): void {
    let count = 0;
    for (const one of this.#trades) {
      if (one.trade.order > due()) break;
      pass(one);
      count++;
    }
    this.#trades.splice(0, count);
  }

  /**
   * The trade that ends the gap. Without numbers it is the first that came: an earlier one that came later is a late repeat out
   * of the gap, and does not show what was lost with it.
   */
  firstAfterGap(): HeldTrade | undefined {
    const { first } = this;
    if (!first || first.numbered) return first;
    return this.#trades.reduce((earliest, one) => (one.arrival < earliest.arrival ? one : earliest));
  }
}
