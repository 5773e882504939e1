import type { Trade } from '@millrace/contracts';
import { isAfter } from './trade-order.ts';

/** Maximum number of held trades while a gap is filled: minutes of the busiest market. Beyond it the gap is recorded. */
export const HELD_TRADES_MAX = 50_000;

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
  #onFull: () => void = () => {};

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
    if (this.#trades.length > HELD_TRADES_MAX) this.#onFull();
  }

  /** The pages of a history, while at most `HELD_TRADES_MAX` trades are held. @throws Error when there are more, also while a page is awaited */
  async *pagesUntilFull(pages: AsyncIterable<Trade[]>): AsyncGenerator<Trade[]> {
    const full = new Promise<null>((resolve) => {
      this.#onFull = () => resolve(null);
    });
    const iterator = pages[Symbol.asyncIterator]();
    try {
      for (;;) {
        if (this.#trades.length > HELD_TRADES_MAX) this.#onFull();
        const page = await Promise.race([full, iterator.next()]);
        if (page === null) throw new Error(`${this.#trades.length} newer trades could not wait any longer`);
        if (page.done) return;
        yield page.value;
      }
    } finally {
      // It ends when the page that is awaited has come.
      iterator.return?.().catch(() => {});
    }
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
