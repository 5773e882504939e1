import type { Gap, Trade } from '@millrace/contracts';
import { messageOf } from '@millrace/kernel';
import { type HeldTrade, HeldTrades } from './held-trades.ts';
import { aroundGap, RecordedGaps, type RecordedGapsOptions } from './recorded-gaps.ts';
import type { TradeGap } from './source.ts';
import { areNear, DoubtedTrades, LOST_TRADES_MAX } from './trade-numbers.ts';
import { isAfter, isNumbered, NOT_IN_HISTORY } from './trade-order.ts';
import { TradeOutput, type TradeOutputOptions } from './trade-output.ts';

/** How long a missing number is waited for before its gap is real: neighbours swap within milliseconds. */
const REORDER_MS = 250;
/** Trades kept back while a number is waited for. */
const REORDER_TRADES_MAX = 1_000;
/** Trades kept back while a gap is being filled: minutes of the busiest market. Beyond it the gap is given up. */
const HELD_TRADES_MAX = 50_000;
/** Where venues do not number their trades, nothing but a trade says that a connection gives them: none may come for so long before the history is asked. */
const SUBSCRIBES_MS = 3_000;
/** How far a venue’s history may be behind what it sends, where it sends trades out of order. */
const HISTORY_BEHIND_MS = 1_000;

export interface TradeSequencerOptions extends TradeOutputOptions, RecordedGapsOptions {
  /** A trade waits because its number is far from those before it: it is passed on, or set aside, later. */
  readonly doubt: (trade: Trade) => void;
  readonly setAside: (trade: Trade, reason: string) => void;
}

/**
 * `flowing`: trades pass. `reordering`: a number is missing and waited for. `interrupted`: the connection was lost, and
 * nothing is known of what happened since. `repairing`: the venue’s history is being asked.
 */
type State = 'flowing' | 'reordering' | 'interrupted' | 'repairing';

/**
 * One instrument’s trades on their way in. Where the venue numbers them, a number that is missing is waited for, then
 * asked for, and only then given up; after a lost connection what was missed is asked for before anything new is passed
 * on. So the zone behind it sees every trade once, in order, or is told of a gap with its bounds.
 */
export class TradeSequencer {
  readonly #options: TradeSequencerOptions;
  readonly #output: TradeOutput;
  readonly #recordedGaps: RecordedGaps;
  readonly #held = new HeldTrades();
  #state: State = 'flowing';
  /** The first trade that ever came, while the venue is asked what was before it, and the newest of that. */
  #beginning: { readonly first: HeldTrade; newestBefore: Trade | null } | null = null;
  /** Venue time from which trades may be missing; null while none can be. */
  #lostAt: number | null = null;
  /** Venue time of the first connection that was lost while no trade had come yet: its trades may be older than what the venue’s clock said at a later loss. */
  #firstLostAt: number | null = null;
  /** Connections lost so far, why the newest was, and whether there has been another one since. */
  #losses = 0;
  #arrivals = 0;
  #whyLostLast = '';
  #isBack = true;
  #cancelWait: (() => void) | null = null;
  readonly #doubted: DoubtedTrades;
  /** Whether a second trade has confirmed the numbers of the newest. */
  #isConfirmed = false;

  /**
   * @param last the newest trade that is on record, when this sequencer continues where an earlier one ended
   * @param gaps those on record: the recent ones are asked for again, as the earlier sequencer would have done
   */
  constructor(options: TradeSequencerOptions, last: Trade | null, gaps: readonly Gap[] = []) {
    this.#options = options;
    this.#output = new TradeOutput(options, last);
    this.#recordedGaps = new RecordedGaps(options);
    this.#doubted = new DoubtedTrades(options.setAside);
    for (const gap of gaps) this.#recordedGaps.fillRecorded(gap);
    if (last) this.interrupt('the process was restarted', last.time);
  }

  /** Everything after a time (epoch ms) was withdrawn; `last` is the newest trade that is left on record. */
  withdraw(after: number, last: Trade | null): void {
    if (this.#output.last && this.#output.last.time > after) this.#output.last = last;
    if (this.#lostAt !== null && this.#lostAt > after) this.#lostAt = last?.time ?? null;
    if (this.#firstLostAt !== null && this.#firstLostAt > after) this.#firstLostAt = null;
  }

  /** Takes a trade of the venue. `numbered`: its order is a number without gaps. */
  accept(trade: Trade, numbered: boolean): void {
    if (!numbered || this.#output.last === null) return this.#take(trade, numbered);
    if (!this.#isNear(trade)) return this.#doubt(trade);
    this.#isConfirmed ||= trade.order !== this.#output.last.order;
    if (trade.order > this.#output.last.order) this.#doubted.refute('the trades after it go on with the numbers before it');
    this.#take(trade, numbered);
  }

  /** No trade comes any more: what still waits for a confirmation of its number is set aside. */
  close(): void {
    this.#doubted.refute('no other trade came');
  }

  #isNear(trade: Trade): boolean {
    const newest = this.#held.newest;
    return (this.#output.last !== null && areNear(trade, this.#output.last)) || (newest?.numbered === true && areNear(trade, newest.trade));
  }

  #doubt(trade: Trade): void {
    this.#options.doubt(trade);
    const confirmed = this.#doubted.add(trade);
    const [first] = confirmed;
    if (!first) return;
    // What waits for a missing number comes before.
    if (this.#held.size > 0 && this.#state !== 'repairing') this.#gapIsReal();
    const missing = first.order - (this.#output.last?.order ?? 0) - 1;
    const isLoss = this.#isConfirmed && missing >= 0 && missing <= LOST_TRADES_MAX;
    if (this.#state !== 'repairing' && !isLoss) this.#takeNewNumbers(first);
    for (const one of confirmed) this.#take(one, true);
  }

  /** The venue numbers its trades differently from here on: how many are missing, if any, cannot be told from the numbers. */
  #takeNewNumbers(first: Trade): void {
    this.#output.whyLost = `the venue’s numbers went from ${this.#output.last?.order} to ${first.order}`;
    this.#output.recordGap(
      this.#output.last?.time ?? first.time,
      { trade: first, numbered: true },
      'whether trades are missing is not known',
      false,
    );
    this.#isConfirmed = true;
    this.#flowAgain();
  }

  #take(trade: Trade, numbered: boolean): void {
    switch (this.#state) {
      case 'flowing':
        return this.#flow(trade, numbered);
      case 'reordering':
        return this.#reorder(trade, numbered);
      case 'interrupted':
        return this.#beginAgain(trade, numbered);
      case 'repairing':
        return this.#hold(trade, numbered);
    }
  }

  /**
   * The connection is lost: trades may be missing from here on.
   * @param at the venue’s time, as far as it is known; null when nothing was ever heard of it
   */
  interrupt(reason: string, at: number | null): void {
    if (this.#output.last === null) this.#firstLostAt ??= at;
    this.#lostAt ??= this.#output.last?.time ?? this.#firstLostAt;
    if (this.#lostAt === null) return;
    this.#losses++;
    this.#whyLostLast = reason;
    this.#isBack = false;
    if (this.#state === 'repairing') return;
    this.#stopWaiting();
    this.#state = 'interrupted';
    this.#output.whyLost = reason;
  }

  /** The connection is back. Where the venue serves its past, the gap is filled without waiting for a trade, or not for long. */
  reconnected(): void {
    this.#isBack = true;
    if (this.#state !== 'interrupted' || !this.#options.fetch) return;
    const isNumberedVenue = this.#options.disorderMs === 0 && (this.#output.last === null || isNumbered(this.#output.last));
    if (isNumberedVenue) return void this.#repair(null);
    this.#stopWaiting();
    this.#cancelWait = this.#options.clock.after(SUBSCRIBES_MS, () => void this.#repair(null));
  }

  #flow(trade: Trade, numbered: boolean): void {
    if (this.#output.last === null || !numbered || trade.order <= this.#output.last.order + 1)
      return this.#output.pass(trade, numbered, false);
    this.#state = 'reordering';
    this.#cancelWait = this.#options.clock.after(REORDER_MS, () => this.#gapIsReal());
    this.#hold(trade, numbered);
  }

  #reorder(trade: Trade, numbered: boolean): void {
    const due = (this.#output.last?.order ?? 0) + 1;
    if (trade.order > due) {
      this.#hold(trade, numbered);
      if (this.#held.size > REORDER_TRADES_MAX) this.#gapIsReal();
      return;
    }
    const { first } = this.#held;
    if (trade.order === due && first) this.#options.outOfOrder(trade, first.trade);
    this.#output.pass(trade, numbered, false);
    this.#passWhatFollows();
  }

  /** The first trade after an interruption, when history was not or could not be asked. */
  #beginAgain(trade: Trade, numbered: boolean): void {
    const last = this.#output.last;
    const follows = last !== null && numbered && trade.order === last.order + 1;
    const isOld = last !== null && !isAfter(trade, last, numbered);
    if (follows) this.#flowAgain();
    if (follows || isOld) return this.#output.pass(trade, numbered, false);
    this.#hold(trade, numbered);
    void this.#repair(trade);
  }

  #hold(trade: Trade, numbered: boolean): void {
    if (this.#output.last === null) return this.#begin({ trade, numbered, losses: this.#losses, arrival: this.#arrivals++ });
    // What comes late ends no gap.
    if (this.#output.last !== null && !isAfter(trade, this.#output.last, numbered)) {
      if (!numbered && this.#output.remembers(trade, false)) return;
      this.#output.remember(trade, numbered);
      return this.#output.pass(trade, numbered, false);
    }
    this.#held.add({ trade, numbered, losses: this.#losses, arrival: this.#arrivals++ });
  }

  /** The first trade of all goes on at once: while nothing is on record, a crash leaves no trace of what was kept back. */
  #begin(first: HeldTrade): void {
    this.#beginning = { first, newestBefore: null };
    this.#output.remember(first.trade, first.numbered);
    this.#output.pass(first.trade, first.numbered, false);
  }

  #passWhatFollows(): void {
    const due = () => (this.#output.last?.order ?? 0) + 1;
    this.#held.passFollowing(({ trade, numbered }) => this.#output.pass(trade, numbered, false), due);
    if (this.#held.size > 0) return;
    this.#stopWaiting();
    this.#flowAgain();
  }

  #stopWaiting(): void {
    this.#cancelWait?.();
    this.#cancelWait = null;
  }

  #flowAgain(): void {
    this.#state = 'flowing';
    this.#lostAt = null;
    this.#beginning = null;
  }

  #gapIsReal(): void {
    this.#stopWaiting();
    this.#output.whyLost = 'the venue sent no trade with the number that is due';
    void this.#repair(this.#held.first?.trade ?? null);
  }

  /** Fills the gap from the venue’s history, or records it; then passes on what was kept back meanwhile. */
  async #repair(before: Trade | null): Promise<void> {
    this.#stopWaiting();
    const after = this.#beginning ? null : this.#output.last;
    const lostAt = after?.time ?? this.#lostAt;
    if (lostAt === null) return this.#flowAgain();
    // The venue’s clock may be ahead of the trades that it sends.
    const since = Math.min(lostAt, this.#beginning?.first.trade.time ?? lostAt);
    // Without numbers the first trade that comes may be a late repeat out of the gap: the history is asked for all that is newer.
    const isBounded = !this.#beginning && before !== null && isNumbered(before);
    const tradeGap = { after, since, before: isBounded ? before : null };
    const losses = this.#losses;
    this.#state = 'repairing';
    this.#lostAt = null;
    const { disorderMs, clock } = this.#options;
    if (disorderMs > 0) await new Promise<void>((later) => clock.after(HISTORY_BEHIND_MS, later));
    const { filled, failure } = await this.#fill(disorderMs > 0 ? aroundGap(since, disorderMs) : tradeGap);
    if (filled > 0) this.#options.recordRepair({ from: since, to: this.#output.last?.time ?? since, trades: filled, gap: null, left: [] });
    this.#passOld();
    const hasBegun = this.#endBeginning(since, failure);
    const first = this.#held.firstAfterGap();
    // Behind the first trade of all, only numbers tell of another gap.
    const stillMissing =
      first?.numbered && this.#output.last ? first.trade.order > this.#output.last.order + 1 : failure !== null && !hasBegun;
    if (stillMissing && !first) {
      // Nothing has come yet that would end the gap: its bounds are known with the next trade.
      this.#state = 'interrupted';
      this.#lostAt = since;
      return;
    }
    // Where the connection was lost again before the first came, a history that answers is asked once more, for all of it.
    if (stillMissing && first && (failure !== null || first.losses <= losses)) {
      // What could not be asked now may be answered later; what the venue does not have will not be.
      const last = this.#output.last;
      if (failure !== null) this.#recordedGaps.fillLater({ after: last, since: last?.time ?? since, before: first.trade }, first.numbered);
      this.#output.recordGap(since, first, failure ?? NOT_IN_HISTORY);
    }
    this.#release(stillMissing && failure !== null && first ? first.losses : losses);
  }

  /** The venue was asked what was before the first trade of all: what it could not tell is on record from now on. Returns whether there was such a trade. */
  #endBeginning(since: number, failure: string | null): boolean {
    if (!this.#beginning) return false;
    const { first, newestBefore } = this.#beginning;
    this.#beginning = null;
    if (failure !== null) {
      const from = Math.min(since, first.trade.time);
      const tradeGap = { after: newestBefore, since: newestBefore?.time ?? from, before: first.trade };
      this.#recordedGaps.fillLater(tradeGap, first.numbered);
      this.#output.recordGapBetween(newestBefore, first, from, failure);
    } else if (first.numbered && newestBefore) this.#output.recordMissing(newestBefore, first.trade);
    return true;
  }

  /** Passes on what history has, in order. Gives up when so much is kept back meanwhile that it cannot wait. */
  async #fill(tradeGap: TradeGap): Promise<{ filled: number; failure: string | null }> {
    if (!this.#options.fetch) return { filled: 0, failure: 'this source has no history to fill it from' };
    let filled = 0;
    try {
      for await (const page of this.#options.fetch(tradeGap)) {
        const first = this.#beginning?.first.trade;
        if (first && first.time < tradeGap.since) return await this.#fill({ ...tradeGap, since: first.time });
        for (const trade of page) if (this.#passGiven(trade, this.#held.first?.numbered ?? isNumbered(trade))) filled++;
        if (this.#held.size > HELD_TRADES_MAX) return { filled, failure: `${this.#held.size} newer trades could not wait any longer` };
      }
      return { filled, failure: null };
    } catch (error) {
      return { filled, failure: `the venue’s history could not be read: ${messageOf(error)}` };
    }
  }

  /** Passes on what is kept back and ends no gap: the history has newer ones. */
  #passOld(): void {
    for (
      let { first } = this.#held;
      first && this.#output.last && !isAfter(first.trade, this.#output.last, first.numbered);
      { first } = this.#held
    ) {
      this.#held.removeFirst();
      if (!this.#output.remembers(first.trade, first.numbered)) this.#output.pass(first.trade, first.numbered, false);
    }
  }

  /**
   * Passes on a trade of the venue’s history: after those that came before it, and with a gap where the history has one itself.
   * @returns whether it was not known
   */
  #passGiven(trade: Trade, numbered: boolean): boolean {
    const beginning = this.#beginning;
    if (numbered && beginning && trade.order <= beginning.first.trade.order) {
      if (trade.order === beginning.first.trade.order) return false;
      if (beginning.newestBefore) this.#output.recordMissing(beginning.newestBefore, trade);
      beginning.newestBefore = trade;
      this.#output.pass(trade, true, true);
      return true;
    }
    if (numbered) {
      for (let { first } = this.#held; first && first.trade.order < trade.order; { first } = this.#held) {
        this.#held.removeFirst();
        this.#output.passNext(first.trade);
      }
      this.#output.remember(trade, true);
      this.#output.passNext(trade);
      return true;
    }
    if (this.#output.remembers(trade, false) || (this.#options.disorderMs > 0 && this.#options.isKnown(trade))) return false;
    this.#output.remember(trade, false);
    this.#output.pass(trade, false, true);
    return true;
  }

  /**
   * Everything kept back goes on; what history has given already does not go twice.
   * @param losses connections whose loss is made good, or is on record as a gap; what came later waits for a repair of its own
   */
  #release(losses: number): void {
    const held = this.#held.takeAll();
    const lostAt = this.#lostAt;
    this.#flowAgain();
    // A number below the newest may be one that history did not have.
    for (const { trade, numbered, losses: at } of held)
      if (at <= losses && !this.#output.remembers(trade, numbered)) this.accept(trade, numbered);
    if (losses < this.#losses)
      this.#goOnAfter(
        held.filter((one) => one.losses > losses),
        lostAt,
      );
    if (this.#state !== 'repairing') this.#output.forgetAll();
  }

  /** A connection was lost again while the history was asked: that leaves a gap of its own, behind what had come until then. */
  #goOnAfter(later: HeldTrade[], lostAt: number | null): void {
    this.#lostAt = this.#output.last?.time ?? lostAt;
    for (const one of later) this.#held.add(one);
    if (this.#state === 'repairing') return;
    this.#stopWaiting();
    this.#state = 'interrupted';
    this.#output.whyLost = this.#whyLostLast;
    const first = this.#held.firstAfterGap();
    if (first) void this.#repair(first.trade);
    else if (this.#isBack) this.reconnected();
  }
}
