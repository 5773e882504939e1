import type { Gap, GapRepair, Trade } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { TradeGap } from './source.ts';
import { gapBetween, NOT_IN_HISTORY } from './trade-order.ts';

/** Delay of the first retry when the history for a gap cannot be read, ms. It doubles; all retries together take half a day. */
const RETRY_FIRST_MS = 30_000;
const RETRY_MS_MAX = 3_600_000;
const RETRIES_MAX = 16;
/** Recorded gaps older than this, ms, are not retried after a restart. */
const RETRIED_AGE_MS_MAX = 12 * 3_600_000;

export interface RecordedGapsOptions {
  readonly clock: Clock;
  readonly deliver: (trade: Trade, numbered: boolean, backfilled: boolean) => void;
  /** Reads the history of the venue; null when it has none. Rejects when it cannot be read. */
  readonly fetch: ((tradeGap: TradeGap) => AsyncIterable<Trade[]>) | null;
  /** See `History`; 0 when trades arrive in order. */
  readonly disorderMs: number;
  /** Whether a trade without a number is recorded, or too old to know. */
  readonly isKnown: (trade: Trade) => boolean;
  /** `left` are the gaps that remain of the filled one. */
  readonly recordRepair: (repair: Required<GapRepair> & { readonly left: readonly Gap[] }) => void;
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
  fillLater(tradeGap: TradeGap, numbered: boolean, attempt = 0): void {
    const { clock, fetch } = this.#options;
    if (!fetch || attempt >= RETRIES_MAX) return;
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_FIRST_MS * 2 ** attempt);
    // Trades that were read before a failure are known at the next retry, and not recorded twice.
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
    // Only missing numbers show that the history itself has a gap.
    if (filled === 0 && numbered && tradeGap.after) return;
    follow(tradeGap.before);
    const gap = { afterId: tradeGap.after?.id ?? '', beforeId: tradeGap.before?.id ?? '' };
    recordRepair({ from: tradeGap.since, to: tradeGap.before?.time ?? tradeGap.since, trades: filled, gap, left });
  }
}

/** The range to read when trades arrive out of order: a lost trade may be older than the last known one, or newer than the first one since. */
export function aroundGap(since: number, disorderMs: number): TradeGap {
  return { after: null, since: since - disorderMs, before: null };
}

function isNumber(id: string): boolean {
  return id === String(Number(id));
}
