import type { FeedFault, Trade } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { FaultReports } from './fault-reports.ts';
import { type PriceRule, tradeProblem } from './plausible.ts';
import { Quarantine } from './quarantine.ts';
import { shortened } from './shortened.ts';

/** Events farther in the future are refused, ms: they would close open candles, and make all later events late. */
const FUTURE_MS_MAX = 60_000;
/** Maximum length of the detail of a fault. The log and the snapshots contain it. */
const DETAIL_CHARACTERS_MAX = 512;

/** Where a refused value comes from. `receivedAt` is in epoch ms. */
interface Origin {
  readonly frame: string;
  readonly receivedAt: number;
}

/** Refuses impossible and future events of a source: counts them, and quarantines their frames. */
export class Refusals {
  readonly quarantine = new Quarantine();
  /** Number of faults, by kind. */
  readonly faults: Record<string, number> = {};
  /** The frame that is read. */
  current: Origin = { frame: '', receivedAt: 0 };
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  count(fault: string): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + 1;
  }

  /** Counts a fault, and reports it to the instrument. */
  fault(reports: FaultReports | undefined, fault: FeedFault, detail: string): void {
    this.count(fault);
    reports?.add(fault, shortened(detail, DETAIL_CHARACTERS_MAX));
  }

  setAside(reason: string, detail: string, origin = this.current): void {
    this.quarantine.add(reason, detail, origin);
  }

  /** Quarantines a frame with an impossible value, and reports it to the instrument. @returns false: it is refused */
  distrust(reports: FaultReports, detail: string, origin = () => this.current): false {
    this.setAside('schema', detail, origin());
    this.fault(reports, 'schema', detail);
    return false;
  }

  /** Quarantines an event whose time is in the future. @returns whether it was quarantined */
  isFuture(reports: FaultReports, what: string, time: number, origin = () => this.current): boolean {
    const aheadMs = time - Math.max(this.current.receivedAt, this.#clock.now());
    if (aheadMs <= FUTURE_MS_MAX) return false;
    const detail = `a ${what} of ${new Date(time).toISOString()}, ${Math.round(aheadMs)} ms ahead of our clock`;
    this.setAside('clock-skew', detail, origin());
    this.fault(reports, 'clock-skew', detail);
    return true;
  }

  /** The trades of a history, without those that the stream would be refused for. */
  async *plausible(pages: AsyncIterable<Trade[]>, rule: PriceRule, reports: FaultReports): AsyncGenerator<Trade[]> {
    for await (const page of pages)
      yield page.filter((trade) => {
        const origin = () => ({ frame: JSON.stringify(trade), receivedAt: this.#clock.now() });
        const problem = tradeProblem(trade, rule);
        if (problem !== null) return this.distrust(reports, `in the history, ${problem}`, origin);
        return !this.isFuture(reports, 'trade in the history', trade.time, origin);
      });
  }
}
