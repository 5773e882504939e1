import type { Gap, Trade } from '@millrace/contracts';
import { messageOf } from '@millrace/kernel';
import { type HeldTrade, HeldTrades } from './held-trades.ts';
import { aroundGap, RecordedGaps, type RecordedGapsOptions, tradesSince } from './recorded-gaps.ts';
import type { TradeGap } from './source.ts';
import { areNear, DoubtedTrades, LOST_TRADES_MAX } from './trade-numbers.ts';
import { BEGINS_LATER, isAfter, isNumbered, NOT_IN_HISTORY } from './trade-order.ts';
import { TradeOutput, type TradeOutputOptions } from './trade-output.ts';

/** Time to wait for a missing number before it counts as a gap, ms. Neighbours swap within milliseconds. */
const REORDER_MS = 250;
/** Maximum number of held trades while a number is missing. */
const REORDER_TRADES_MAX = 1_000;
/** Without trade numbers only a trade shows that a subscription works. After this time without one, ms, the history is read. */
const SUBSCRIBES_MS = 3_000;
/** Maximum delay of the history behind the stream, ms, for venues that send trades out of order. */
const HISTORY_BEHIND_MS = 1_000;

export interface TradeSequencerOptions extends TradeOutputOptions, RecordedGapsOptions {
  /** Called for a trade whose number is far from the previous ones. It is passed on or quarantined later. */
  readonly doubt: (trade: Trade) => void;
  readonly setAside: (trade: Trade, reason: string) => void;
}

/**
 * `flowing`: trades are passed on. `reordering`: waits for a missing number. `interrupted`: the connection was lost, so trades may be
 * missing. `repairing`: reads the history of the venue.
 */
type State = 'flowing' | 'reordering' | 'interrupted' | 'repairing';

/**
 * Puts the received trades of one instrument in order. It waits for a missing number, then reads it from the history, then records a gap.
 * After a lost connection it reads the missed trades before it passes on new ones. So the zone gets each trade once and in order, or a gap
 * with its bounds.
 */
export class TradeSequencer {
  readonly #options: TradeSequencerOptions;
  readonly #output: TradeOutput;
  readonly #recordedGaps: RecordedGaps;
  readonly #held = new HeldTrades();
  #state: State = 'flowing';
  /** While the history before the first trade of all is read: that trade, and the newest one before it. */
  #beginning: { readonly first: HeldTrade; newestBefore: Trade | null } | null = null;
  /** Venue time from which trades may be missing, epoch ms; null while none can be missing. */
  #lostAt: number | null = null;
  /** Venue time of the first lost connection before the first trade, epoch ms. Missed trades may be older than the venue’s clock at a later loss. */
  #firstLostAt: number | null = null;
  /** Number of lost connections, the reason of the newest loss, and whether a connection was made since. */
  #losses = 0;
  #arrivals = 0;
  #whyLostLast = '';
  #isBack = true;
  #cancelWait: (() => void) | null = null;
  readonly #doubted: DoubtedTrades;
  /** Whether a second trade has confirmed the current numbers. */
  #isConfirmed = false;

  /**
   * @param last the newest recorded trade, when this sequencer continues an earlier one
   * @param gaps the recorded gaps. Recent ones are retried.
   */
  constructor(options: TradeSequencerOptions, last: Trade | null, gaps: readonly Gap[] = []) {
    this.#options = options;
    this.#output = new TradeOutput(options, last);
    this.#recordedGaps = new RecordedGaps(options);
    this.#doubted = new DoubtedTrades(options.setAside);
    for (const gap of gaps) this.#recordedGaps.fillRecorded(gap);
    if (last) this.interrupt('the process was restarted', last.time);
  }

  /** The data after a time (epoch ms) was withdrawn. `last` is the newest remaining trade. */
  withdraw(after: number, last: Trade | null): void {
    if (this.#output.last && this.#output.last.time > after) this.#output.last = last;
    if (this.#lostAt !== null && this.#lostAt > after) this.#lostAt = last?.time ?? null;
    if (this.#firstLostAt !== null && this.#firstLostAt > after) this.#firstLostAt = null;
  }

  /** Accepts a trade of the venue. @param numbered `order` is its number, and the numbers have no gaps */
  accept(trade: Trade, numbered: boolean): void {
    if (!numbered || this.#output.last === null) return this.#take(trade, numbered);
    if (!this.#isNear(trade)) return this.#doubt(trade);
    this.#isConfirmed ||= trade.order !== this.#output.last.order;
    if (trade.order > this.#output.last.order) this.#doubted.refute('the trades after it go on with the numbers before it');
    this.#take(trade, numbered);
  }

  /** Ends the sequence: quarantines the trades whose number is not confirmed. */
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
    // Trades that wait for a missing number come first.
    if (this.#held.size > 0 && this.#state !== 'repairing') this.#gapIsReal();
    const missing = first.order - (this.#output.last?.order ?? 0) - 1;
    const isLoss = this.#isConfirmed && missing >= 0 && missing <= LOST_TRADES_MAX;
    if (this.#state !== 'repairing' && !isLoss) this.#takeNewNumbers(first);
    for (const one of confirmed) this.#take(one, true);
  }

  /** The venue numbers its trades differently from now on. The numbers do not show how many are missing, if any. */
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
   * The connection is lost: trades may be missing from now on.
   * @param at newest known venue time, epoch ms; null before the first event of the venue
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

  /** The connection is back. If the venue serves its history, the gap is filled now, or after `SUBSCRIBES_MS` without numbers. */
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

  /** Handles the first trade after an interruption whose history was not read. */
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
    // A late trade does not end a gap.
    if (this.#output.last !== null && !isAfter(trade, this.#output.last, numbered)) {
      if (!numbered && this.#output.remembers(trade, false)) return;
      this.#output.remember(trade, numbered);
      return this.#output.pass(trade, numbered, false);
    }
    this.#held.add({ trade, numbered, losses: this.#losses, arrival: this.#arrivals++ });
  }

  /** Passes on the first trade of all at once: as long as nothing is recorded, a crash would lose held trades without a trace. */
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

  /** Fills the gap from the history, or records it. Then passes on the held trades. */
  async #repair(before: Trade | null): Promise<void> {
    this.#stopWaiting();
    const after = this.#beginning ? null : this.#output.last;
    const lostAt = after?.time ?? this.#lostAt;
    if (lostAt === null) return this.#flowAgain();
    // The clock of the venue may be ahead of its trades.
    const since = Math.min(lostAt, this.#beginning?.first.trade.time ?? lostAt);
    // Without numbers the first trade may be a late repeat from within the gap: read all newer trades.
    const isBounded = !this.#beginning && before !== null && isNumbered(before);
    const tradeGap = { after, since, before: isBounded ? before : null };
    const losses = this.#losses;
    this.#state = 'repairing';
    this.#lostAt = null;
    const { disorderMs, clock } = this.#options;
    if (disorderMs > 0) await new Promise<void>((later) => clock.after(HISTORY_BEHIND_MS, later));
    const { filled, failure } = await this.#fill(disorderMs > 0 ? aroundGap(since, disorderMs) : tradeGap, after);
    if (filled > 0) this.#options.recordRepair({ from: since, to: this.#output.last?.time ?? since, trades: filled, gap: null, left: [] });
    this.#passOld();
    const hasBegun = this.#endBeginning(since, failure);
    const first = this.#held.firstAfterGap();
    // After the first trade of all, only numbers show another gap.
    const stillMissing =
      first?.numbered && this.#output.last ? first.trade.order > this.#output.last.order + 1 : failure !== null && !hasBegun;
    if (stillMissing && !first) {
      // No trade ends the gap yet. Its bounds are known with the next trade.
      this.#state = 'interrupted';
      this.#lostAt = since;
      return;
    }
    // If the connection was lost again before the first trade, and the history can be read, it is read again for the whole gap.
    if (stillMissing && first && (failure !== null || first.losses <= losses)) {
      // A failed read is retried later. Trades that the venue does not have are not.
      const last = this.#output.last;
      if (failure !== null) this.#recordedGaps.fillLater({ after: last, since: last?.time ?? since, before: first.trade }, first.numbered);
      this.#output.recordGap(since, first, failure ?? NOT_IN_HISTORY);
    }
    this.#release(stillMissing && failure !== null && first ? first.losses : losses);
  }

  /** Ends the read of the history before the first trade of all, and records what is missing. @returns whether there was such a read */
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

  /** Passes on the trades of the history, in order. Fails when too many trades are held meanwhile. @param after the newest trade before the gap */
  async #fill(tradeGap: TradeGap, after: Trade | null): Promise<{ filled: number; failure: string | null }> {
    if (!this.#options.fetch) return { filled: 0, failure: 'this source has no history to fill it from' };
    let filled = 0;
    // `after` until the history is known to reach back to it. Numbered trades show gaps by themselves.
    let unreached = this.#options.disorderMs > 0 ? after : null;
    try {
      for await (const page of this.#held.pagesUntilFull(this.#options.fetch(tradeGap))) {
        const lacking = await this.#unrecordedOf(page, tradeGap);
        const first = this.#beginning?.first.trade;
        if (first && first.time < tradeGap.since) return await this.#fill({ ...tradeGap, since: first.time }, after);
        if (unreached && page[0]) unreached = this.#output.recordStart(unreached, page[0], tradeGap.since);
        for (const trade of lacking) if (this.#passGiven(trade, this.#held.first?.numbered ?? isNumbered(trade))) filled++;
      }
      return { filled, failure: unreached && BEGINS_LATER };
    } catch (error) {
      return { filled, failure: `the venue’s history could not be read: ${messageOf(error)}` };
    }
  }

  /** Where trades arrive out of order, the history repeats recorded ones. Elsewhere it begins after the newest recorded one. */
  async #unrecordedOf(page: readonly Trade[], { since }: TradeGap): Promise<readonly Trade[]> {
    return this.#options.disorderMs > 0 ? await this.#options.unrecorded(tradesSince(page, since), false) : page;
  }

  /** Passes on held trades that are older than the newest of the history: they end no gap. */
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

  /** Quarantines a trade of the history whose number is far from the one before it: later trades would not continue it. */
  #isMisnumbered(trade: Trade): boolean {
    const before = this.#beginning ? this.#beginning.newestBefore : this.#output.last;
    if (before === null || areNear(trade, before) || Math.abs(trade.order - before.order) <= LOST_TRADES_MAX) return false;
    this.#options.setAside(trade, `the number of trade ${trade.id} of the history is far from ${before.order}, the one before it`);
    return true;
  }

  /**
   * Passes on a trade of the history, after the held trades before it. Records a gap that the history itself has.
   * @returns whether the trade was new
   */
  #passGiven(trade: Trade, numbered: boolean): boolean {
    if (numbered && this.#isMisnumbered(trade)) return false;
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
    if (this.#output.remembers(trade, false)) return false;
    this.#output.remember(trade, false);
    this.#output.pass(trade, false, true);
    return true;
  }

  /**
   * Passes on the held trades, except those that the history had.
   * @param losses number of lost connections whose gap is filled or recorded. Trades after later losses wait for their own repair.
   */
  #release(losses: number): void {
    const held = this.#held.takeAll();
    const lostAt = this.#lostAt;
    this.#flowAgain();
    // A lower number than the newest may be one that the history lacked.
    for (const { trade, numbered, losses: at } of held)
      if (at <= losses && !this.#output.remembers(trade, numbered)) this.accept(trade, numbered);
    if (losses < this.#losses)
      this.#goOnAfter(
        held.filter((one) => one.losses > losses),
        lostAt,
      );
    if (this.#state !== 'repairing') this.#output.forgetAll();
  }

  /** A connection was lost again while the history was read. This leaves another gap, after the trades received until then. */
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
