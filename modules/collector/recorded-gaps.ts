import type { Gap, GapRepair, Trade } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import { Backoff } from '@millrace/resilience';
import type { TradeGap } from './source.ts';
import { BEGINS_LATER, gapBetween, NOT_IN_HISTORY, widened } from './trade-order.ts';

/** Delay of the first retry when the history for a gap cannot be read, ms. It doubles, with jitter; all retries together take 7 to 14 hours. */
const RETRY_FIRST_MS = 30_000;
const RETRY_MS_MAX = 3_600_000;
const RETRIES_MAX = 20;
/** Recorded gaps older than this, ms, are not retried after a restart. */
const RETRIED_AGE_MS_MAX = 12 * 3_600_000;

export interface RecordedGapsOptions {
  readonly clock: Clock;
  readonly deliver: (trade: Trade, numbered: boolean, backfilled: boolean) => void;
  /** Reads the history of the venue; null when it has none. Rejects when it cannot be read. */
  readonly fetch: ((tradeGap: TradeGap) => AsyncIterable<Trade[]>) | null;
  /** See `History`; 0 when trades arrive in order. */
  readonly disorderMs: number;
  /** The trades that are not recorded. Rejects when that cannot be found out now. */
  readonly unrecorded: (trades: readonly Trade[], numbered: boolean) => Promise<readonly Trade[]>;
  /** `left` are the gaps that remain of the filled one. */
  readonly recordRepair: (repair: Required<GapRepair> & { readonly left: readonly Gap[] }) => void;
}

/** Progress of filling a gap. A failed read goes on from here. */
interface Filling {
  readonly tradeGap: TradeGap;
  readonly numbered: boolean;
  /** Newest trade of the history so far. */
  last: Trade | null;
  /** Trades of the history so far, and those of them that were not recorded. */
  found: number;
  filled: number;
  /** Gaps that the history has as well. */
  readonly left: Gap[];
  /** Gaps of many instruments begin at the same time. Their retries must not come together. */
  readonly backoff: Backoff;
}

/** Recorded gaps that are filled later from the history of the venue. New trades do not wait for it. */
export class RecordedGaps {
  readonly #options: RecordedGapsOptions;

  constructor(options: RecordedGapsOptions) {
    this.#options = options;
  }

  /** Fills a gap that an earlier process recorded, by its ids and times. */
  fillRecorded({ from, to, afterId, beforeId, missing }: Gap): void {
    const { clock, disorderMs } = this.#options;
    if (clock.now() - to >= RETRIED_AGE_MS_MAX) return;
    const isNumberedGap = missing !== undefined && isNumber(afterId) && isNumber(beforeId);
    if (!isNumberedGap && disorderMs === 0) return;
    const bound = (id: string, time: number): Trade | null =>
      id === '' ? null : { id, time, order: isNumberedGap ? Number(id) : 0, price: '', quantity: '', side: 'unknown' };
    const [since, until] = [from + disorderMs, to - disorderMs];
    this.fillLater({ after: bound(afterId, since), since, before: bound(beforeId, until) }, isNumberedGap);
  }

  /** Fills a gap after a delay, and retries when the history cannot be read. */
  fillLater(tradeGap: TradeGap, numbered: boolean): void {
    const backoff = new Backoff(RETRY_FIRST_MS, RETRY_MS_MAX);
    this.#retry({ tradeGap, numbered, last: tradeGap.after, found: 0, filled: 0, left: [], backoff });
  }

  #retry(filling: Filling): void {
    const { clock, fetch } = this.#options;
    if (!fetch || filling.backoff.attempts >= RETRIES_MAX) return;
    clock.after(filling.backoff.next(), () => void this.#fill(fetch, filling).catch(() => this.#retry(filling)));
  }

  /** The range that is still to be read. Trades that arrive out of order do not show how much of it was read. */
  #rangeOf({ tradeGap, last }: Filling): TradeGap {
    const { disorderMs } = this.#options;
    if (disorderMs > 0) return aroundGap(tradeGap.since, disorderMs);
    return { ...tradeGap, after: last, since: last?.time ?? tradeGap.since };
  }

  async #fill(fetch: NonNullable<RecordedGapsOptions['fetch']>, filling: Filling): Promise<void> {
    const { deliver, recordRepair, disorderMs, unrecorded } = this.#options;
    const { tradeGap, numbered, left } = filling;
    const until = (tradeGap.before?.time ?? Number.POSITIVE_INFINITY) + disorderMs;
    const range = this.#rangeOf(filling);
    let start: Trade | null = null;
    for await (const page of fetch(range)) {
      start ??= page[0] ?? null;
      const within = disorderMs > 0 ? tradesSince(page, range.since).filter(({ time }) => time <= until) : page;
      const lacking = new Set(await unrecorded(within, numbered));
      for (const trade of within) {
        follow(filling, trade);
        filling.found++;
        if (!lacking.has(trade)) continue;
        deliver(trade, numbered, true);
        filling.filled++;
      }
    }
    // A history without any trade of the range does not show that none is missing: it may not reach back so far.
    if (filling.found === 0 && (numbered || disorderMs > 0) && tradeGap.after) return;
    if (disorderMs > 0 && tradeGap.after && start && start.time >= range.since) {
      if (tradeGap.before && start.time >= tradeGap.before.time) return;
      left.push(widened(gapBetween(tradeGap.after, start, BEGINS_LATER, false), disorderMs));
    }
    follow(filling, tradeGap.before);
    const gap = { afterId: tradeGap.after?.id ?? '', beforeId: tradeGap.before?.id ?? '' };
    recordRepair({ from: tradeGap.since, to: tradeGap.before?.time ?? tradeGap.since, trades: filling.filled, gap, left });
  }
}

/** Goes on to the next trade of the history. Only missing numbers show that the history itself has a gap. */
function follow(filling: Filling, trade: Trade | null): void {
  const { numbered, last, left } = filling;
  if (numbered && last && trade && trade.order > last.order + 1) left.push(gapBetween(last, trade, NOT_IN_HISTORY));
  filling.last = trade;
}

/** The range to read when trades arrive out of order: a lost trade may be older than the last known one, or newer than the first one since. */
export function aroundGap(since: number, disorderMs: number): TradeGap {
  return { after: null, since: since - disorderMs, before: null };
}

/** The trades from a time on: a history whose trades are out of order begins with an older one. */
export function tradesSince(trades: readonly Trade[], since: number): readonly Trade[] {
  return trades.filter(({ time }) => time >= since);
}

function isNumber(id: string): boolean {
  return id === String(Number(id));
}
