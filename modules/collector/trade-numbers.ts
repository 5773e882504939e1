import type { Trade } from '@millrace/contracts';

/** Largest step between the numbers of two trades of the same time that needs no confirmation: at most so many trades are reordered. */
const NUMBERS_APART_MAX = 1_000;
/** Further step per millisecond between them: no market has a thousand trades a second for long. */
const NUMBERS_PER_MS = 1;
/** Largest number of lost trades. A larger step means that the venue numbers its trades differently now. */
export const LOST_TRADES_MAX = 100_000;
/** Maximum number of trades that wait for a confirmation of their number. Beyond it the oldest is quarantined. */
const DOUBTED_MAX = 16;

/** Whether the numbers of two trades are plausible for the time between them. */
export function areNear(one: Trade, other: Trade): boolean {
  return Math.abs(one.order - other.order) <= NUMBERS_APART_MAX + Math.abs(one.time - other.time) * NUMBERS_PER_MS;
}

/**
 * Trades whose number is far from the previous ones. Each waits for the next trade: a number near its own confirms it, a number that
 * continues the previous ones refutes it.
 */
export class DoubtedTrades {
  readonly #setAside: (trade: Trade, reason: string) => void;
  #trades: Trade[] = [];

  /** @param setAside receives each refuted trade, with the reason */
  constructor(setAside: (trade: Trade, reason: string) => void) {
    this.#setAside = setAside;
  }

  /** Adds a trade whose number is far from the newest. @returns the trades that confirm each other, in order of their numbers, or none */
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

  /** Quarantines all waiting trades. */
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
