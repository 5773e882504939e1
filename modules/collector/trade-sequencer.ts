import type { Gap, GapRepair, Trade } from '@millrace/contracts';
import { type Clock, messageOf } from '@millrace/kernel';
import type { TradeGap } from './source.ts';
import { areNear, DoubtedTrades, LOST_TRADES_MAX } from './trade-numbers.ts';

/** How long a missing number is waited for before its gap is real: neighbours swap within milliseconds. */
const REORDER_MS = 250;
/** Trades kept back while a number is waited for. */
const REORDER_TRADES_MAX = 1_000;
/** How long after its history could not be read a gap is tried again, doubling, and how often: half a day. */
const FILL_AGAIN_FIRST_MS = 30_000;
const FILL_AGAIN_MOST_MS = 3_600_000;
const FILL_AGAIN_TIMES = 16;
/** Gaps of an earlier process that are older than this are not asked for again. */
const FILL_AGAIN_MS = 12 * 3_600_000;
/** Trades kept back while a gap is being filled: minutes of the busiest market. Beyond it the gap is given up. */
const HELD_TRADES_MAX = 50_000;
/** Where venues do not number their trades, nothing but a trade says that a connection gives them: none may come for so long before the history is asked. */
const SUBSCRIBES_MS = 3_000;
/** How far a venue’s history may be behind what it sends, where it sends trades out of order. */
const HISTORY_BEHIND_MS = 1_000;
const NOT_IN_HISTORY = 'the venue’s history does not have it';
/** Newest ids of the venue’s history that are remembered, so that what was kept back meanwhile is not handed on twice. */
const GIVEN_MAX = 50_000;

export interface TradeSequencerOptions {
  readonly clock: Clock;
  readonly deliver: (trade: Trade, numbered: boolean, backfilled: boolean) => void;
  readonly outOfOrder: (trade: Trade, after: Trade) => void;
  /** Asks the venue’s past; null when it has none. Rejects when it cannot be read. */
  readonly fetch: ((tradeGap: TradeGap) => AsyncIterable<Trade[]>) | null;
  /** See `History`; 0 where trades come in order. */
  readonly disorderMs: number;
  /** Whether a trade without a number is on record, or is so old that it cannot be told. */
  readonly isKnown: (trade: Trade) => boolean;
  readonly recordGap: (gap: Gap) => void;
  /** `left` are gaps that are left of the one that was filled. */
  readonly recordRepair: (repair: Required<GapRepair> & { readonly left: readonly Gap[] }) => void;
  /** A trade waits because its number is far from those before it: it is handed on, or set aside, later. */
  readonly doubt: (trade: Trade) => void;
  readonly setAside: (trade: Trade, reason: string) => void;
}

/**
 * `flowing`: trades pass. `reordering`: a number is missing and waited for. `interrupted`: the connection was lost, and
 * nothing is known of what happened since. `repairing`: the venue’s history is being asked.
 */
type State = 'flowing' | 'reordering' | 'interrupted' | 'repairing';

interface Held {
  readonly trade: Trade;
  readonly numbered: boolean;
  /** How many connections had been lost when it came: before the first of each connection trades may be missing. */
  readonly losses: number;
  /** Counts what is kept back, in the order in which it came. */
  readonly arrival: number;
}

/**
 * One instrument’s trades on their way in. Where the venue numbers them, a number that is missing is waited for, then
 * asked for, and only then given up; after a lost connection what was missed is asked for before anything new is handed
 * on. So the zone behind it sees every trade once, in order, or is told of a gap with its bounds.
 */
export class TradeSequencer {
  readonly #options: TradeSequencerOptions;
  #state: State = 'flowing';
  /** The newest trade handed on, by rank. */
  #last: Trade | null;
  /** Trades kept back, in order of rank. */
  #held: Held[] = [];
  /** The first trade that ever came, while the venue is asked what was before it, and the newest of that. */
  #beginning: { readonly first: Held; newestBefore: Trade | null } | null = null;
  /** Ids of what has been handed on while trades are kept back. */
  readonly #given = new Set<string>();
  /** Venue time from which trades may be missing; null while none can be. */
  #lostAt: number | null = null;
  #whyLost = '';
  /** Connections lost so far, why the newest was, and whether there has been another one since. */
  #losses = 0;
  #arrivals = 0;
  #whyLostLast = '';
  #isBack = true;
  #cancelWait: (() => void) | null = null;
  readonly #doubted: DoubtedTrades;
  /** Whether a second trade has confirmed the numbers of `#last`. */
  #isConfirmed = false;

  /**
   * @param last the newest trade that is on record, when this line goes on where an earlier one ended
   * @param gaps those on record: the young ones are asked for again, as the earlier line would have done
   */
  constructor(options: TradeSequencerOptions, last: Trade | null, gaps: readonly Gap[] = []) {
    this.#options = options;
    this.#last = last;
    this.#doubted = new DoubtedTrades(options.setAside);
    for (const gap of gaps) if (options.clock.now() - gap.to < FILL_AGAIN_MS) this.#fillRecorded(gap);
    if (last) this.interrupt('the process was restarted', last.time);
  }

  /** Everything after a time (epoch ms) was withdrawn; `last` is the newest trade that is left on record. */
  withdraw(after: number, last: Trade | null): void {
    if (this.#last && this.#last.time > after) this.#last = last;
    if (this.#lostAt !== null && this.#lostAt > after) this.#lostAt = last?.time ?? null;
  }

  accept(trade: Trade, numbered: boolean): void {
    if (!numbered || this.#last === null) return this.#take(trade, numbered);
    if (!this.#isNear(trade)) return this.#doubt(trade);
    this.#isConfirmed ||= trade.order !== this.#last.order;
    if (trade.order > this.#last.order) this.#doubted.refute('the trades after it go on with the numbers before it');
    this.#take(trade, numbered);
  }

  /** No trade comes any more: what still waits for a confirmation of its number is set aside. */
  close(): void {
    this.#doubted.refute('no other trade came');
  }

  #isNear(trade: Trade): boolean {
    const newest = this.#held.at(-1);
    return (this.#last !== null && areNear(trade, this.#last)) || (newest?.numbered === true && areNear(trade, newest.trade));
  }

  #doubt(trade: Trade): void {
    this.#options.doubt(trade);
    const confirmed = this.#doubted.add(trade);
    const [first] = confirmed;
    if (!first) return;
    // What waits for a missing number comes before.
    if (this.#held.length > 0 && this.#state !== 'repairing') this.#gapIsReal();
    const missing = first.order - (this.#last?.order ?? 0) - 1;
    const isLoss = this.#isConfirmed && missing >= 0 && missing <= LOST_TRADES_MAX;
    if (this.#state !== 'repairing' && !isLoss) this.#takeNewNumbers(first);
    for (const one of confirmed) this.#take(one, true);
  }

  /** The venue numbers its trades differently from here on: how many are missing, if any, cannot be told from the numbers. */
  #takeNewNumbers(first: Trade): void {
    this.#whyLost = `the venue’s numbers went from ${this.#last?.order} to ${first.order}`;
    this.#recordGap(this.#last?.time ?? first.time, { trade: first, numbered: true }, 'whether trades are missing is not known', false);
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
    this.#lostAt ??= this.#last?.time ?? at;
    if (this.#lostAt === null) return;
    this.#losses++;
    this.#whyLostLast = reason;
    this.#isBack = false;
    if (this.#state === 'repairing') return;
    this.#stopWaiting();
    this.#state = 'interrupted';
    this.#whyLost = reason;
  }

  /** The connection is back. Where the venue serves its past, the gap is filled without waiting for a trade, or not for long. */
  reconnected(): void {
    this.#isBack = true;
    if (this.#state !== 'interrupted' || !this.#options.fetch) return;
    const isNumberedVenue = this.#options.disorderMs === 0 && (this.#last === null || isNumbered(this.#last));
    if (isNumberedVenue) return void this.#repair(null);
    this.#stopWaiting();
    this.#cancelWait = this.#options.clock.after(SUBSCRIBES_MS, () => void this.#repair(null));
  }

  #flow(trade: Trade, numbered: boolean): void {
    if (this.#last === null || !numbered || trade.order <= this.#last.order + 1) return this.#pass(trade, numbered, false);
    this.#state = 'reordering';
    this.#cancelWait = this.#options.clock.after(REORDER_MS, () => this.#gapIsReal());
    this.#hold(trade, numbered);
  }

  #reorder(trade: Trade, numbered: boolean): void {
    const due = (this.#last?.order ?? 0) + 1;
    if (trade.order > due) {
      this.#hold(trade, numbered);
      if (this.#held.length > REORDER_TRADES_MAX) this.#gapIsReal();
      return;
    }
    const [first] = this.#held;
    if (trade.order === due && first) this.#options.outOfOrder(trade, first.trade);
    this.#pass(trade, numbered, false);
    this.#passWhatFollows();
  }

  /** The first trade after an interruption, when history was not or could not be asked. */
  #beginAgain(trade: Trade, numbered: boolean): void {
    const last = this.#last;
    const follows = last !== null && numbered && trade.order === last.order + 1;
    const isOld = last !== null && !isAfter(trade, last, numbered);
    if (follows) this.#flowAgain();
    if (follows || isOld) return this.#pass(trade, numbered, false);
    this.#hold(trade, numbered);
    void this.#repair(trade);
  }

  #pass(trade: Trade, numbered: boolean, backfilled: boolean): void {
    const last = this.#last;
    if (last === null || !isAfter(last, trade, numbered)) this.#last = trade;
    else if (!numbered && !backfilled) this.#options.outOfOrder(trade, last);
    this.#options.deliver(trade, numbered, backfilled);
  }

  #hold(trade: Trade, numbered: boolean): void {
    if (this.#last === null) return this.#begin({ trade, numbered, losses: this.#losses, arrival: this.#arrivals++ });
    // What comes late ends no gap.
    if (this.#last !== null && !isAfter(trade, this.#last, numbered)) {
      if (!numbered && this.#given.has(trade.id)) return;
      this.#noteGiven(keyOf(trade, numbered));
      return this.#pass(trade, numbered, false);
    }
    this.#keepBack({ trade, numbered, losses: this.#losses, arrival: this.#arrivals++ });
  }

  /** The first trade of all goes on at once: while nothing is on record, a crash leaves no trace of what was kept back. */
  #begin(first: Held): void {
    this.#beginning = { first, newestBefore: null };
    this.#noteGiven(keyOf(first.trade, first.numbered));
    this.#pass(first.trade, first.numbered, false);
  }

  #keepBack(one: Held): void {
    let at = this.#held.length;
    while (at > 0 && isAfter((this.#held[at - 1] as Held).trade, one.trade, one.numbered)) at--;
    this.#held.splice(at, 0, one);
  }

  #passWhatFollows(): void {
    let count = 0;
    for (const { trade, numbered } of this.#held) {
      if (trade.order > (this.#last?.order ?? 0) + 1) break;
      this.#pass(trade, numbered, false);
      count++;
    }
    this.#held.splice(0, count);
    if (this.#held.length > 0) return;
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
    this.#whyLost = 'the venue sent no trade with the number that is due';
    void this.#repair(this.#held[0]?.trade ?? null);
  }

  /** Fills the gap from the venue’s history, or records it; then hands on what was kept back meanwhile. */
  async #repair(before: Trade | null): Promise<void> {
    this.#stopWaiting();
    const after = this.#beginning ? null : this.#last;
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
    const { filled, failure } = await this.#fill(disorderMs > 0 ? this.#around(since) : tradeGap);
    if (filled > 0) this.#options.recordRepair({ from: since, to: this.#last?.time ?? since, trades: filled, gap: null, left: [] });
    this.#passOld();
    const hasBegun = this.#endBeginning(since, failure);
    const first = this.#firstAfterGap();
    // Behind the first trade of all, only numbers tell of another gap.
    const stillMissing = first?.numbered && this.#last ? first.trade.order > this.#last.order + 1 : failure !== null && !hasBegun;
    if (stillMissing && !first) {
      // Nothing has come yet that would end the gap: its bounds are known with the next trade.
      this.#state = 'interrupted';
      this.#lostAt = since;
      return;
    }
    // Where the connection was lost again before the first came, a history that answers is asked once more, for all of it.
    if (stillMissing && first && (failure !== null || first.losses <= losses)) {
      // What could not be asked now may be answered later; what the venue does not have will not be.
      const last = this.#last;
      if (failure !== null) this.#fillLater({ after: last, since: last?.time ?? since, before: first.trade }, first.numbered);
      this.#recordGap(since, first, failure ?? NOT_IN_HISTORY);
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
      this.#fillLater(tradeGap, first.numbered);
      this.#recordGapBetween(newestBefore, first, from, failure);
    } else if (first.numbered && newestBefore) this.#noteGap(newestBefore, first.trade);
    return true;
  }

  /**
   * The trade that ends the gap. Without numbers it is the first that came: an earlier one that came later is a late repeat out
   * of the gap, and says nothing of what was lost with it.
   */
  #firstAfterGap(): Held | undefined {
    const [earliest] = this.#held;
    if (!earliest || earliest.numbered) return earliest;
    return this.#held.reduce((first, one) => (one.arrival < first.arrival ? one : first));
  }

  /** What is to be asked for a gap where trades come out of order: a lost one may be older than what is known, or newer than what came since. */
  #around(since: number): TradeGap {
    return { after: null, since: since - this.#options.disorderMs, before: null };
  }

  /** Hands on what history has, in order. Gives up when so much is kept back meanwhile that it cannot wait. */
  async #fill(tradeGap: TradeGap): Promise<{ filled: number; failure: string | null }> {
    if (!this.#options.fetch) return { filled: 0, failure: 'this source has no history to fill it from' };
    let filled = 0;
    try {
      for await (const page of this.#options.fetch(tradeGap)) {
        const first = this.#beginning?.first.trade;
        if (first && first.time < tradeGap.since) return await this.#fill({ ...tradeGap, since: first.time });
        for (const trade of page) if (this.#passGiven(trade, this.#held[0]?.numbered ?? isNumbered(trade))) filled++;
        if (this.#held.length > HELD_TRADES_MAX) return { filled, failure: `${this.#held.length} newer trades could not wait any longer` };
      }
      return { filled, failure: null };
    } catch (error) {
      return { filled, failure: `the venue’s history could not be read: ${messageOf(error)}` };
    }
  }

  /** Hands on what is kept back and ends no gap: the history has newer ones. */
  #passOld(): void {
    for (let [first] = this.#held; first && this.#last && !isAfter(first.trade, this.#last, first.numbered); [first] = this.#held) {
      this.#held.shift();
      if (!this.#given.has(keyOf(first.trade, first.numbered))) this.#pass(first.trade, first.numbered, false);
    }
  }

  /**
   * Hands on a trade of the venue’s history: after those that came before it, and with a gap where the history has one itself.
   * @returns whether it was not known
   */
  #passGiven(trade: Trade, numbered: boolean): boolean {
    const beginning = this.#beginning;
    if (numbered && beginning && trade.order <= beginning.first.trade.order) {
      if (trade.order === beginning.first.trade.order) return false;
      if (beginning.newestBefore) this.#noteGap(beginning.newestBefore, trade);
      beginning.newestBefore = trade;
      this.#pass(trade, true, true);
      return true;
    }
    if (numbered) {
      for (let [first] = this.#held; first && first.trade.order < trade.order; [first] = this.#held) {
        this.#held.shift();
        this.#passNext(first.trade);
      }
      this.#noteGiven(keyOf(trade, true));
      this.#passNext(trade);
      return true;
    }
    if (this.#given.has(trade.id) || (this.#options.disorderMs > 0 && this.#options.isKnown(trade))) return false;
    this.#noteGiven(trade.id);
    this.#pass(trade, false, true);
    return true;
  }

  #passNext(trade: Trade): void {
    // On record before what comes behind it: whoever goes on from that trade after a crash asks for nothing before.
    if (this.#last) this.#noteGap(this.#last, trade);
    this.#pass(trade, true, true);
  }

  /** What the venue’s history itself lacks between two trades is a gap. */
  #noteGap(last: Trade, trade: Trade): void {
    if (trade.order > last.order + 1 && areNear(trade, last))
      this.#options.recordGap(this.#gapBetween(last, trade, `${this.#whyLost}; ${NOT_IN_HISTORY}`));
  }

  #noteGiven(key: string): void {
    this.#given.add(key);
    if (this.#given.size <= GIVEN_MAX) return;
    // One of these that comes again is refused by the zone, and counted, as a duplicate.
    for (const oldest of this.#given) {
      this.#given.delete(oldest);
      return;
    }
  }

  /** A gap keeps the ids of its bounds: that is enough where these are numbers, or where the history is asked by time. */
  #fillRecorded({ from, to, afterId, beforeId, missing }: Gap): void {
    const { disorderMs } = this.#options;
    const isNumberedGap = missing !== undefined && isNumber(afterId) && isNumber(beforeId);
    if (!isNumberedGap && disorderMs === 0) return;
    const bound = (id: string, time: number): Trade | null =>
      id === '' ? null : { id, time, order: isNumberedGap ? Number(id) : 0, price: '', quantity: '', side: 'unknown' };
    const [since, until] = [from + disorderMs, to - disorderMs];
    this.#fillLater({ after: bound(afterId, since), since, before: bound(beforeId, until) }, isNumberedGap);
  }

  /** Tries to fill a gap that is on record as a gap, now and then; the trades go on at once meanwhile. */
  #fillLater(tradeGap: TradeGap, numbered: boolean, attempt = 0): void {
    const { clock, fetch, deliver, recordRepair, disorderMs, isKnown } = this.#options;
    if (!fetch || attempt >= FILL_AGAIN_TIMES) return;
    const waitMs = Math.min(FILL_AGAIN_MOST_MS, FILL_AGAIN_FIRST_MS * 2 ** attempt);
    const until = (tradeGap.before?.time ?? Number.POSITIVE_INFINITY) + disorderMs;
    const fill = async () => {
      let filled = 0;
      let last = tradeGap.after;
      const gaps: Gap[] = [];
      const noteGap = (trade: Trade | null) => {
        if (numbered && last && trade && trade.order > last.order + 1) gaps.push(this.#gapBetween(last, trade, NOT_IN_HISTORY));
        last = trade;
      };
      for await (const page of fetch(disorderMs > 0 ? this.#around(tradeGap.since) : tradeGap))
        for (const trade of page) {
          if (disorderMs > 0 && (trade.time > until || isKnown(trade))) continue;
          noteGap(trade);
          deliver(trade, numbered, true);
          filled++;
        }
      // Only numbers that are missing between two trades tell of more than the history has.
      if (filled === 0 && numbered && tradeGap.after) return;
      noteGap(tradeGap.before);
      const gap = { afterId: tradeGap.after?.id ?? '', beforeId: tradeGap.before?.id ?? '' };
      recordRepair({ from: tradeGap.since, to: tradeGap.before?.time ?? tradeGap.since, trades: filled, gap, left: gaps });
    };
    // What comes before another failure is known by the next time, and is not taken twice.
    clock.after(waitMs, () => void fill().catch(() => this.#fillLater(tradeGap, numbered, attempt + 1)));
  }

  /**
   * Everything kept back goes on; what history has given already does not go twice.
   * @param losses connections whose loss is made good, or is on record as a gap; what came later waits for a repair of its own
   */
  #release(losses: number): void {
    const held = this.#held;
    const lostAt = this.#lostAt;
    this.#held = [];
    this.#flowAgain();
    // A number below the newest may be one that history did not have.
    for (const { trade, numbered, losses: at } of held)
      if (at <= losses && !this.#given.has(keyOf(trade, numbered))) this.accept(trade, numbered);
    if (losses < this.#losses)
      this.#goOnAfter(
        held.filter((one) => one.losses > losses),
        lostAt,
      );
    if (this.#state !== 'repairing') this.#given.clear();
  }

  /** A connection was lost again while the history was asked: that leaves a gap of its own, behind what had come until then. */
  #goOnAfter(later: Held[], lostAt: number | null): void {
    this.#lostAt = this.#last?.time ?? lostAt;
    for (const one of later) this.#keepBack(one);
    if (this.#state === 'repairing') return;
    this.#stopWaiting();
    this.#state = 'interrupted';
    this.#whyLost = this.#whyLostLast;
    const first = this.#firstAfterGap();
    if (first) void this.#repair(first.trade);
    else if (this.#isBack) this.reconnected();
  }

  #recordGap(since: number, first: Pick<Held, 'trade' | 'numbered'>, reason: string, isCounted = first.numbered): void {
    const last = this.#last;
    this.#recordGapBetween(last, first, since, reason, isCounted);
    // What comes behind the gap is the next that is due.
    if (first.numbered && last) this.#last = { ...last, order: first.trade.order - 1 };
  }

  #recordGapBetween(
    last: Trade | null,
    { trade: first, numbered }: Pick<Held, 'trade' | 'numbered'>,
    since: number,
    reason: string,
    isCounted = numbered,
  ): void {
    const why = `${this.#whyLost}; ${reason}`;
    const gap = last
      ? this.#gapBetween(last, first, why, isCounted)
      : { from: since, to: first.time, afterId: '', beforeId: first.id, reason: why };
    const { disorderMs } = this.#options;
    this.#options.recordGap({ ...gap, from: gap.from - disorderMs, to: gap.to + disorderMs });
  }

  #gapBetween(last: Trade, first: Trade, reason: string, isCounted = true): Gap {
    const missing = first.order - last.order - 1;
    const isLoss = isCounted && missing >= 0 && (missing <= LOST_TRADES_MAX || areNear(first, last));
    return { from: last.time, to: first.time, afterId: last.id, beforeId: first.id, ...(isLoss && { missing }), reason };
  }
}

/** Whether a trade stands behind another: by its number, else by its time and its order within that. */
function isAfter(one: Trade, other: Trade, numbered = false): boolean {
  return numbered || one.time === other.time ? one.order > other.order : one.time > other.time;
}

/** What a trade is known by among those of its instrument. */
function keyOf({ id, order }: Trade, numbered: boolean): string {
  return numbered ? String(order) : id;
}

/** Whether a trade’s id is its rank, as it is where venues number them. */
function isNumbered(trade: Trade): boolean {
  return trade.id === String(trade.order);
}

function isNumber(id: string): boolean {
  return id === String(Number(id));
}
