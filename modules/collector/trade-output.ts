import type { Gap, Trade } from '@millrace/contracts';
import type { HeldTrade } from './held-trades.ts';
import { areNear } from './trade-numbers.ts';
import { gapBetween, isAfter, NOT_IN_HISTORY } from './trade-order.ts';

/** Newest trades that are remembered while others are kept back, so that none is passed on twice. */
const REMEMBERED_MAX = 50_000;

export interface TradeOutputOptions {
  readonly deliver: (trade: Trade, numbered: boolean, backfilled: boolean) => void;
  readonly outOfOrder: (trade: Trade, after: Trade) => void;
  readonly recordGap: (gap: Gap) => void;
  /** See `History`; 0 where trades come in order. */
  readonly disorderMs: number;
}

/** What a trade sequencer passes on: trades, and the gaps between them. */
export class TradeOutput {
  /** The newest trade passed on, by rank. */
  last: Trade | null;
  /** Why trades may be missing; part of the reason of a gap. */
  whyLost = '';
  readonly #options: TradeOutputOptions;
  /** What has been passed on while trades are kept back. */
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

  /** Passes on a numbered trade of the venue’s history, after the gap before it: a process that goes on from that trade asks for nothing before it. */
  passNext(trade: Trade): void {
    if (this.last) this.recordMissing(this.last, trade);
    this.pass(trade, true, true);
  }

  /** Records as a gap what the venue’s history itself lacks between two trades. */
  recordMissing(last: Trade, trade: Trade): void {
    if (trade.order > last.order + 1 && areNear(trade, last))
      this.#options.recordGap(gapBetween(last, trade, `${this.whyLost}; ${NOT_IN_HISTORY}`));
  }

  /** Records a gap before `first`; the next trade that is due is the one behind the gap. */
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
    const { disorderMs } = this.#options;
    this.#options.recordGap({ ...gap, from: gap.from - disorderMs, to: gap.to + disorderMs });
  }

  /** Remembers that a trade was passed on, until `forgetAll`. */
  remember(trade: Trade, numbered: boolean): void {
    this.#remembered.add(keyOf(trade, numbered));
    if (this.#remembered.size <= REMEMBERED_MAX) return;
    // If one of these comes again, the zone refuses it, and counts it, as a duplicate.
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

/** What identifies a trade among those of its instrument. */
function keyOf({ id, order }: Trade, numbered: boolean): string {
  return numbered ? String(order) : id;
}
