import type { FeedFault } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';

/** Faults of one kind are reported at most this often, with their number. */
const REPORT_EVERY_MS = 1_000;

export interface FaultReport {
  readonly fault: FeedFault;
  /** Of the newest one. */
  readonly detail: string;
  readonly time: number;
  /** How many there were since the last report. */
  readonly count: number;
}

interface Counted {
  count: number;
  detail: string;
  /** When it was reported last, epoch ms; infinite while the next report is scheduled. */
  reportedAt: number;
}

/** Reports the faults of one instrument, each kind once a second at most. */
export class FaultReports {
  readonly #clock: Clock;
  readonly #report: (report: FaultReport) => void;
  readonly #counted = new Map<FeedFault, Counted>();

  constructor(clock: Clock, report: (report: FaultReport) => void) {
    this.#clock = clock;
    this.#report = report;
  }

  add(fault: FeedFault, detail: string): void {
    const now = this.#clock.now();
    const counted = this.#counted.get(fault) ?? { count: 0, reportedAt: Number.NEGATIVE_INFINITY, detail };
    this.#counted.set(fault, counted);
    counted.count++;
    counted.detail = detail;
    if (counted.reportedAt === Number.POSITIVE_INFINITY) return;
    if (now - counted.reportedAt >= REPORT_EVERY_MS) return this.#send(fault, counted);
    counted.reportedAt = Number.POSITIVE_INFINITY;
    this.#clock.after(REPORT_EVERY_MS, () => this.#send(fault, counted));
  }

  #send(fault: FeedFault, counted: Counted): void {
    this.#report({ fault, detail: counted.detail, time: this.#clock.now(), count: counted.count });
    counted.count = 0;
    counted.reportedAt = this.#clock.now();
  }
}
