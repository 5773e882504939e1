import type { Gap, GapRepair, Trade } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { TradeGap } from './source.ts';
import { gapBetween, NOT_IN_HISTORY } from './trade-order.ts';

/** How long after its history could not be read a gap is tried again, doubling, and how often: half a day. */
const RETRY_FIRST_MS = 30_000;
const RETRY_MS_MAX = 3_600_000;
const RETRIES_MAX = 16;
/** Gaps of an earlier process that are older than this are not asked for again. */
const RETRIED_AGE_MS_MAX = 12 * 3_600_000;

export interface RecordedGapsOptions {
  readonly clock: Clock;
  readonly deliver: (trade: Trade, numbered: boolean, backfilled: boolean) => void;
  /** Asks the venue’s past; null when it has none. Rejects when it cannot be read. */
  readonly fetch: ((tradeGap: TradeGap) => AsyncIterable<Trade[]>) | null;
  /** See `History`; 0 where trades come in order. */
  readonly disorderMs: number;
  /** Whether a trade without a number is on record, or is so old that this is not known. */
  readonly isKnown: (trade: Trade) => boolean;
  /** `left` are gaps that are left of the one that was filled. */
  readonly recordRepair: (repair: Required<GapRepair> & { readonly left: readonly Gap[] }) => void;
}

/** Gaps that are on record, and are filled later from the venue’s history; new trades do not wait for that. */
export class RecordedGaps {
  readonly #options: RecordedGapsOptions;

  constructor(options: RecordedGapsOptions) {
    this.#options = options;
  }

  /** Fills a gap of an earlier process. Its bounds are ids: enough where these are numbers, or where the history is asked by time. */
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

  /** Fills a gap after a while; again, when the history cannot be read. */
  fillLater(tradeGap: TradeGap, numbered: boolean, attempt = 0): void {
    const { clock, fetch } = this.#options;
    if (!fetch || attempt >= RETRIES_MAX) return;
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_FIRST_MS * 2 ** attempt);
    // What comes before another failure is known by the next time, and is not taken twice.
    clock.after(waitMs, () => void this.#fill(fetch, tradeGap, numbered).catch(() => this.fillLater(tradeGap, numbered, attempt + 1)));
  }

  async #fill(fetch: NonNullable<RecordedGapsOptions['fetch']>, tradeGap: TradeGap, numbered: boolean): Promise<void> {
    const { deliver, recordRepair, disorderMs, isKnown } = this.#options;
    const until = (tradeGap.before?.time ?? Number.POSITIVE_INFINITY) + disorderMs;
    let filled = 0;
    let last = tradeGap.after;
    const left: Gap[] = [];
    const follow = (trade: Trade | null) => {
      if (numbered && last && trade && trade.order > last.order + 1) left.push(gapBetween(last, trade, NOT_IN_HISTORY));
      last = trade;
    };
    for await (const page of fetch(disorderMs > 0 ? aroundGap(tradeGap.since, disorderMs) : tradeGap))
      for (const trade of page) {
        if (disorderMs > 0 && (trade.time > until || isKnown(trade))) continue;
        follow(trade);
        deliver(trade, numbered, true);
        filled++;
      }
    // Only numbers that are missing between two trades show more than the history has.
    if (filled === 0 && numbered && tradeGap.after) return;
    follow(tradeGap.before);
    const gap = { afterId: tradeGap.after?.id ?? '', beforeId: tradeGap.before?.id ?? '' };
    recordRepair({ from: tradeGap.since, to: tradeGap.before?.time ?? tradeGap.since, trades: filled, gap, left });
  }
}

/** What to ask for where trades come out of order: a lost one may be older than what is known, or newer than what came since. */
export function aroundGap(since: number, disorderMs: number): TradeGap {
  return { after: null, since: since - disorderMs, before: null };
}

function isNumber(id: string): boolean {
  return id === String(Number(id));
}
