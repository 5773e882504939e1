import type { Gap, Trade } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { Hole } from './source.ts';

/** How long a missing number is waited for before its hole is real: neighbours swap within milliseconds. */
const REORDER_MS = 250;
/** Trades kept back while a number is waited for. */
const REORDER_TRADES_MAX = 1_000;
/** Trades kept back while a hole is being filled: minutes of the busiest market. Beyond it the hole is given up. */
const HELD_TRADES_MAX = 50_000;

export interface TradeLineOptions {
  readonly clock: Clock;
  readonly deliver: (trade: Trade, numbered: boolean, backfilled: boolean) => void;
  readonly outOfOrder: (trade: Trade, after: Trade) => void;
  /** Asks the venue’s past; null when it has none. Rejects when it cannot be read. */
  readonly fetch: ((hole: Hole) => AsyncIterable<Trade[]>) | null;
  readonly recordGap: (gap: Gap) => void;
  readonly recordRepair: (from: number, to: number, trades: number) => void;
}

/**
 * One instrument’s trades on their way in. Where the venue numbers them, a number that is missing is waited for, then
 * asked for, and only then given up; after a lost connection what was missed is asked for before anything new is handed
 * on. So the zone behind it sees every trade once, in order, or is told of a gap with its bounds.
 */
export class TradeLine {
  readonly #options: TradeLineOptions;
  #last: Trade | null;
  /** Trades kept back, in order of rank. */
  #held: { trade: Trade; numbered: boolean }[] = [];
  #state: 'flowing' | 'reordering' | 'interrupted' | 'repairing' = 'flowing';
  #cancelWait: (() => void) | null = null;
  #interruption = '';

  /** @param last the newest trade that is on record, when the line begins where another one ended */
  constructor(options: TradeLineOptions, last: Trade | null) {
    this.#options = options;
    this.#last = last;
    if (last) {
      this.#state = 'interrupted';
      this.#interruption = 'the process was restarted';
    }
  }

  accept(trade: Trade, numbered: boolean): void {
    switch (this.#state) {
      case 'flowing':
        return this.#flow(trade, numbered);
      case 'interrupted':
        return this.#resume(trade, numbered);
      case 'reordering':
      case 'repairing':
        return this.#hold(trade, numbered);
    }
  }

  /** The connection is lost: trades may be missing from here on. */
  interrupt(reason: string): void {
    if (this.#state === 'repairing' || this.#last === null) return;
    if (this.#state === 'reordering') this.#giveUpWaiting();
    this.#state = 'interrupted';
    this.#interruption = reason;
  }

  /** The connection is back. Where the venue serves its past, the hole is filled now, without waiting for a trade. */
  reconnected(): void {
    if (this.#state === 'interrupted' && this.#options.fetch && this.#last) void this.#repair(null);
  }

  #flow(trade: Trade, numbered: boolean): void {
    const last = this.#last;
    if (last && numbered && trade.order > last.order + 1) {
      this.#state = 'reordering';
      this.#cancelWait = this.#options.clock.after(REORDER_MS, () => this.#holeIsReal());
      this.#hold(trade, numbered);
      return;
    }
    this.#pass(trade, numbered, false);
  }

  /** The first trade after an interruption that could not be repaired on its own. */
  #resume(trade: Trade, numbered: boolean): void {
    const last = this.#last;
    const isNext = last !== null && numbered && trade.order <= last.order + 1;
    if (last === null || isNext || trade.order <= last.order) {
      if (isNext) this.#state = 'flowing';
      return this.#pass(trade, numbered, false);
    }
    this.#insert(trade, numbered);
    void this.#repair(trade);
  }

  #pass(trade: Trade, numbered: boolean, backfilled: boolean): void {
    const last = this.#last;
    if (last && trade.order < last.order) {
      if (!backfilled && trade.id !== last.id) this.#options.outOfOrder(trade, last);
    } else {
      this.#last = trade;
    }
    this.#options.deliver(trade, numbered, backfilled);
  }

  #hold(trade: Trade, numbered: boolean): void {
    const last = this.#last;
    if (this.#state === 'reordering' && last && trade.order <= last.order + 1) {
      if (trade.order === last.order + 1 && this.#held[0]) this.#options.outOfOrder(trade, this.#held[0].trade);
      this.#pass(trade, numbered, false);
      this.#releaseWhatFollows();
      return;
    }
    this.#insert(trade, numbered);
    if (this.#state === 'reordering' && this.#held.length > REORDER_TRADES_MAX) this.#holeIsReal();
  }

  #insert(trade: Trade, numbered: boolean): void {
    let at = this.#held.length;
    while (at > 0 && (this.#held[at - 1]?.trade.order ?? 0) > trade.order) at--;
    this.#held.splice(at, 0, { trade, numbered });
  }

  #releaseWhatFollows(): void {
    let count = 0;
    for (const { trade, numbered } of this.#held) {
      if (trade.order > (this.#last?.order ?? 0) + 1) break;
      this.#pass(trade, numbered, false);
      count++;
    }
    this.#held.splice(0, count);
    if (this.#held.length > 0) return;
    this.#giveUpWaiting();
    this.#state = 'flowing';
  }

  #giveUpWaiting(): void {
    this.#cancelWait?.();
    this.#cancelWait = null;
  }

  #holeIsReal(): void {
    this.#giveUpWaiting();
    this.#interruption = 'the venue sent no trade with the number that is due';
    void this.#repair(this.#held[0]?.trade ?? null);
  }

  async #repair(before: Trade | null): Promise<void> {
    const after = this.#last;
    if (!after) return;
    this.#state = 'repairing';
    let reason = 'the venue’s history is not read for this source';
    let filled = 0;
    if (this.#options.fetch) {
      try {
        filled = await this.#fill({ after, before });
        reason = 'the venue’s history does not have it';
      } catch (error) {
        reason = `the venue’s history could not be read: ${error instanceof Error ? error.message : error}`;
      }
    }
    const first = this.#held[0];
    const numbered = first?.numbered ?? false;
    const reached = this.#last ?? after;
    const complete = numbered && first ? first.trade.order <= reached.order + 1 : this.#options.fetch !== null && !reason.includes('could not');
    if (filled > 0) this.#options.recordRepair(after.time, first?.trade.time ?? reached.time, filled);
    if (!complete && first) this.#recordGap(reached, first.trade, numbered, reason);
    if (!complete && !first) {
      this.#state = 'interrupted';
      return;
    }
    this.#release();
  }

  /** Hands on what history has, in order; stops when so much is held back that the hole must be given up. */
  async #fill(hole: Hole): Promise<number> {
    let filled = 0;
    for await (const page of this.#options.fetch?.(hole) ?? []) {
      for (const trade of page) {
        if (trade.order < hole.after.order || trade.id === hole.after.id) continue;
        this.#pass(trade, this.#held[0]?.numbered ?? isNumbered(trade), true);
        filled++;
      }
      if (this.#held.length > HELD_TRADES_MAX) throw new Error(`${this.#held.length} newer trades are waiting`);
    }
    return filled;
  }

  /** Everything held back goes on; what history has given already does not go twice. */
  #release(): void {
    const held = this.#held;
    this.#held = [];
    this.#state = 'flowing';
    for (const { trade, numbered } of held) {
      if (numbered && trade.order <= (this.#last?.order ?? 0)) continue;
      this.accept(trade, numbered);
    }
  }

  #recordGap(last: Trade, first: Trade, numbered: boolean, reason: string): void {
    this.#options.recordGap({
      from: last.time,
      to: first.time,
      afterId: last.id,
      beforeId: first.id,
      ...(numbered && { missing: first.order - last.order - 1 }),
      reason: `${this.#interruption}; ${reason}`,
    });
    this.#last = first.order > last.order ? { ...first, order: numbered ? first.order - 1 : last.order } : last;
  }
}

/** Whether a trade’s id is its rank, as it is where venues number them. */
function isNumbered(trade: Trade): boolean {
  return trade.id === String(trade.order);
}
