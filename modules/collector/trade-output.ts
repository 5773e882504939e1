import type { Gap, Trade } from '@millrace/contracts';
import type { HeldTrade } from './held-trades.ts';
import { areNear } from './trade-numbers.ts';
import { BEGINS_LATER, gapBetween, isAfter, NOT_IN_HISTORY, widened } from './trade-order.ts';

/** Number of newest trades that are remembered while trades are held, so that none is passed on twice. */
const REMEMBERED_MAX = 50_000;

export interface TradeOutputOptions {
  readonly deliver: (trade: Trade, numbered: boolean, backfilled: boolean) => void;
  readonly outOfOrder: (trade: Trade, after: Trade) => void;
  readonly recordGap: (gap: Gap) => void;
  /** See `History`; 0 when trades arrive in order. */
  readonly disorderMs: number;
}

/** Output of a trade sequencer: trades, and the gaps between them. */
export class TradeOutput {
  /** The newest trade that was passed on. */
  last: Trade | null;
  /** Why trades may be missing, for the reason of a gap. */
  whyLost = '';
  readonly #options: TradeOutputOptions;
  /** Keys of the trades that were passed on while trades are held. */
  readonly #remembered = new Set<string>();

  constructor(options: TradeOutputOptions, last: Trade | null) {
    this.#options = options;
    this.last = last;
  }

  pass(trade: Trade, numbered: boolean, backfilled: boolean): void {
    const { last } = this;
    if (last === null || !isAfter(last, trade, numbered)) this.last = trade;
    else if (!numbered && !backfilled) this.#options.outOfOrder(trade, last);
    this.#options.deliver(trade, numbered, backfilled);
  }

  /** Passes on a numbered trade of the history, after the gap before it: a process that continues from this trade asks for nothing before it. */
  passNext(trade: Trade): void {
    if (this.last) this.recordMissing(this.last, trade);
    this.pass(trade, true, true);
  }

  /** Records a gap for the trades between two that the history lacks as well. */
  recordMissing(last: Trade, trade: Trade): void {
    if (trade.order > last.order + 1 && areNear(trade, last))
      this.#options.recordGap(gapBetween(last, trade, `${this.whyLost}; ${NOT_IN_HISTORY}`));
  }

  /**
   * Records a gap before the first trade of a history without numbers, unless the history reaches back to `since`.
   * @param after the newest trade before the gap that the history is read for
   */
  recordStart(after: Trade, start: Trade, since: number): null {
    if (start.time >= since) this.recordGapBetween(after, { trade: start, numbered: false }, after.time, BEGINS_LATER);
    return null;
  }

  /** Records a gap before `first`. The next expected trade is the one after the gap. */
  recordGap(since: number, first: Pick<HeldTrade, 'trade' | 'numbered'>, reason: string, isCounted = first.numbered): void {
    const { last } = this;
    this.recordGapBetween(last, first, since, reason, isCounted);
    if (first.numbered && last) this.last = { ...last, order: first.trade.order - 1 };
  }

  /** @param since epoch ms from which trades may be missing, when `last` is null */
  recordGapBetween(
    last: Trade | null,
    { trade: first, numbered }: Pick<HeldTrade, 'trade' | 'numbered'>,
    since: number,
    reason: string,
    isCounted = numbered,
  ): void {
    const why = `${this.whyLost}; ${reason}`;
    const gap = last
      ? gapBetween(last, first, why, isCounted)
      : { from: since, to: first.time, afterId: '', beforeId: first.id, reason: why };
    this.#options.recordGap(widened(gap, this.#options.disorderMs));
  }

  /** Remembers that a trade was passed on, until `forgetAll`. */
  remember(trade: Trade, numbered: boolean): void {
    this.#remembered.add(keyOf(trade, numbered));
    if (this.#remembered.size <= REMEMBERED_MAX) return;
    // The zone refuses and counts a repeat of a forgotten trade as a duplicate.
    for (const oldest of this.#remembered) {
      this.#remembered.delete(oldest);
      return;
    }
  }

  remembers(trade: Trade, numbered: boolean): boolean {
    return this.#remembered.has(keyOf(trade, numbered));
  }

  forgetAll(): void {
    this.#remembered.clear();
  }
}

/** Identifies a trade among those of its instrument. */
function keyOf({ id, order }: Trade, numbered: boolean): string {
  return numbered ? String(order) : id;
}
