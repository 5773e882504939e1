import type { Candle, Gap, GapRepair, InstrumentEvent, Interval, Quality } from '@millrace/contracts';

/** Number of newest examples that are kept in each list. */
const EXAMPLES_MAX = 50;

interface QualityExample {
  readonly kind: string;
  readonly time: number;
  readonly detail: string;
}

interface CandleDifference {
  readonly interval: Interval;
  readonly time: number;
  readonly ours: Candle | null;
  readonly theirs: Candle;
  readonly partial: boolean;
}

/** Data quality in the state of the zone. Times in epoch ms. */
export interface QualityState extends Pick<Quality, 'counts'> {
  gaps: Gap[];
  readonly differences: CandleDifference[];
  readonly examples: QualityExample[];
}

export function cleanQuality(): QualityState {
  return {
    counts: {
      trades: 0,
      duplicates: 0,
      gaps: 0,
      repaired: 0,
      late: 0,
      lateBeyondWindow: 0,
      outOfOrder: 0,
      outliers: 0,
      clockSkew: 0,
      quarantined: 0,
      bookBreaks: 0,
      candlesCompared: 0,
      candlesDiffering: 0,
    },
    gaps: [],
    differences: [],
    examples: [],
  };
}

/** Updates the counts by an event, and adds examples. */
export function noteQuality(quality: QualityState, event: InstrumentEvent): void {
  const { counts } = quality;
  switch (event.type) {
    case 'TradeRecorded':
      counts.trades++;
      if (event.late === 'corrected') counts.late++;
      if (event.late === 'beyond-window') {
        counts.lateBeyondWindow++;
        example(quality, 'late-beyond-window', event.trade.time, `trade ${event.trade.id} came after its candle could be corrected`);
      }
      if (event.outlier) {
        counts.outliers++;
        example(quality, 'outlier', event.trade.time, `trade ${event.trade.id} at ${event.trade.price}`);
      }
      return;
    case 'TradeRefused':
      if (event.reason === 'duplicate') counts.duplicates++;
      else counts.quarantined++;
      return example(quality, event.reason, event.trade.time, `trade ${event.trade.id} at ${event.trade.price}`);
    case 'GapRecorded':
      counts.gaps++;
      push<Gap>(quality.gaps, event.gap);
      return example(quality, 'gap', event.gap.to, `no trades between ${event.gap.afterId} and ${event.gap.beforeId}: ${event.gap.reason}`);
    case 'GapRepaired':
      counts.repaired++;
      quality.gaps = quality.gaps.filter((gap) => !isOf(event, gap));
      return example(quality, 'repaired', event.to, `${event.trades} trades from the venue’s history`);
    case 'InstrumentMended':
      counts.trades -= event.withdrawn.length;
      counts.quarantined += event.withdrawn.length;
      quality.gaps = quality.gaps
        .filter(({ from }) => from <= event.after)
        .map((gap) => (gap.to > event.after ? { ...gap, to: Math.max(gap.from, event.newestAt) } : gap));
      for (const { id, price, quantity, time } of event.withdrawn)
        example(quality, 'withdrawn', time, `trade ${id} at ${price}, quantity ${quantity}, was withdrawn: ${event.reason}`);
      return;
    case 'FeedFaulted':
      if (event.fault === 'out-of-order') counts.outOfOrder += event.count;
      else if (event.fault === 'clock-skew') counts.clockSkew += event.count;
      else counts.quarantined += event.count;
      return example(quality, event.fault, event.time, event.detail);
    case 'BookBroken':
      counts.bookBreaks++;
      return example(quality, 'book-break', event.time, event.reason);
    case 'VenueCandleCompared':
      counts.candlesCompared++;
      if (event.agrees) return;
      if (!event.partial) counts.candlesDiffering++;
      return push<CandleDifference>(quality.differences, {
        interval: event.interval,
        time: event.time,
        ours: event.ours,
        theirs: event.theirs,
        partial: event.partial,
      });
  }
}

/** Whether a gap is the one that was filled. */
function isOf({ gap: filled, from, to }: GapRepair, gap: Gap): boolean {
  if (filled === undefined) return gap.from >= from && gap.to <= to;
  return filled !== null && gap.afterId === filled.afterId && gap.beforeId === filled.beforeId;
}

function example(quality: QualityState, kind: string, time: number, detail: string): void {
  push<QualityExample>(quality.examples, { kind, time, detail });
}

function push<T>(list: T[], item: T): void {
  list.unshift(item);
  if (list.length > EXAMPLES_MAX) list.pop();
}
