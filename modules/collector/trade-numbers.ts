import type { Trade } from '@millrace/contracts';

/** Numbers that two trades of one moment may lie apart without a second trade to confirm it: what is put in order at most. */
const NUMBERS_APART_MAX = 1_000;
/** And for each millisecond between them: a thousand trades a second is more than any market has for long. */
const NUMBERS_PER_MS = 1;
/** Most trades that can have been lost where more came than that. A larger step is another numbering. */
export const LOST_TRADES_MAX = 100_000;
/** Trades that wait for another one that confirms their number. Beyond it the oldest is set aside. */
const DOUBTED_MAX = 16;

/** Whether one trade’s number can follow from the other’s, given the time between them. */
export function areNear(one: Trade, other: Trade): boolean {
  return Math.abs(one.order - other.order) <= NUMBERS_APART_MAX + Math.abs(one.time - other.time) * NUMBERS_PER_MS;
}

/**
 * Numbers that one trade alone claims, far from those before it. Such a trade waits for the next one: another number near
 * its own confirms it, a number that goes on from before refutes it.
 */
export class DoubtedTrades {
  readonly #setAside: (trade: Trade, reason: string) => void;
  #trades: Trade[] = [];

  /** @param setAside is given each trade that was refuted, with the reason */
  constructor(setAside: (trade: Trade, reason: string) => void) {
    this.#setAside = setAside;
  }

  /** Takes a trade whose number is far from the newest; gives those that confirm each other, by number, or none. */
  add(trade: Trade): Trade[] {
    const confirmed = this.#trades.filter((other) => other.order !== trade.order && areNear(other, trade));
    if (confirmed.length > 0) {
      this.#trades = this.#trades.filter((other) => !confirmed.includes(other));
      this.refute('the next trades have other numbers');
      return [...confirmed, trade].sort((a, b) => a.order - b.order);
    }
    this.#trades.push(trade);
    if (this.#trades.length > DOUBTED_MAX)
      this.#refuteOne(this.#trades.shift() as Trade, `none of ${DOUBTED_MAX} later trades has a number near it`);
    return [];
  }

  /** Sets all of them aside. */
  refute(reason: string): void {
    if (this.#trades.length === 0) return;
    const refuted = this.#trades;
    this.#trades = [];
    for (const trade of refuted) this.#refuteOne(trade, reason);
  }

  #refuteOne(trade: Trade, reason: string): void {
    this.#setAside(trade, `the number of trade ${trade.id} is far from its neighbours: ${reason}`);
  }
}
