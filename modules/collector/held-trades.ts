import type { Trade } from '@millrace/contracts';
import { isAfter } from './trade-order.ts';

/** A held trade: it is passed on later. */
export interface HeldTrade {
  readonly trade: Trade;
  readonly numbered: boolean;
  /** Number of connections lost before its arrival. Trades may be missing before the first trade of each connection. */
  readonly losses: number;
  /** Sequence number of its arrival. */
  readonly arrival: number;
}

/** Held trades in their order. */
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

  /** Removes and returns all held trades. */
  takeAll(): HeldTrade[] {
    const taken = this.#trades;
    this.#trades = [];
    return taken;
  }

  /** Passes on and removes the trades with consecutive numbers from `due` on. */
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
   * The trade that ends the gap. Without numbers it is the first to arrive: an older one that arrives later is a late repeat from within the
   * gap, and does not bound it.
   */
  firstAfterGap(): HeldTrade | undefined {
    const { first } = this;
    if (!first || first.numbered) return first;
    return this.#trades.reduce((earliest, one) => (one.arrival < earliest.arrival ? one : earliest));
  }
}
