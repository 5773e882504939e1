import type { Alert, AlertRules } from '@millrace/contracts';
import type { AlertCondition } from '@millrace/module';

/** State of the world over the last second. */
export interface WorldSample {
  /** Connected players in open zones. */
  readonly ccu: number;
  /** Players that left on their own in the last second. */
  readonly left: number;
  /** Players and items that are in more than one place. */
  readonly duplicates: readonly { readonly what: 'player' | 'item'; readonly id: string; readonly places: number }[];
  readonly zones: readonly {
    readonly zone: string;
    /** Longest tick, ms. */
    readonly tickMs: number;
    /** Commands in the mailbox. */
    readonly waiting: number;
    /** Failed snapshots since the last successful one. */
    readonly snapshotFailures: number;
  }[];
  /** Commands with a reply, and those of them that failed through no fault of the player. */
  readonly answered: number;
  readonly failed: number;
}

/** Samples in the window for the drop of players and the error rate: one minute. */
const SAMPLES = 60;
/** Smallest number of players for which a drop is a condition. */
const CCU_MIN = 10;
/** How long players may be missing. A zone that moves to another host is open again sooner. */
const CCU_DROP_MS = 3_000;
/** Largest number of duplicates that get an alert each. */
const DUPLICATES_MAX = 20;
/** Smallest number of replies for which the error rate is a condition. */
const ANSWERED_MIN = 20;

/** Computes the alert conditions of the world from one sample per second. */
export class WorldConditions {
  readonly #rules: AlertRules;
  #samples: WorldSample[] = [];

  constructor(rules: AlertRules) {
    this.#rules = rules;
  }

  /** Call it once per second. */
  *of(sample: WorldSample): Generator<AlertCondition> {
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    for (const zone of sample.zones) yield* this.#zone(zone);
    const { ccuDropPercent, errorPercent } = this.#rules;
    const world = { severity: 'critical', subject: 'world' } as const;
    const lost = this.#lostPercent();
    if (lost >= ccuDropPercent)
      yield { ...world, id: 'ccu-drop', rule: 'ccu-drop', value: lost, threshold: ccuDropPercent, forMs: CCU_DROP_MS };
    for (const { what, id, places: value } of sample.duplicates.slice(0, DUPLICATES_MAX)) {
      const about = { rule: 'duplicate', severity: 'critical', subject: `${what} ${id}` } as const;
      yield { ...about, id: `duplicate/${what}/${id}`, value, threshold: 1, forMs: 0 };
    }
    const answered = this.#samples.reduce((sum, one) => sum + one.answered, 0);
    const failed = this.#samples.reduce((sum, one) => sum + one.failed, 0);
    const value = answered === 0 ? 0 : (failed / answered) * 100;
    if (answered >= ANSWERED_MIN && value > errorPercent)
      yield { ...world, id: 'errors', rule: 'errors', value, threshold: errorPercent, forMs: 0 };
  }

  *#zone({ zone, tickMs, waiting, snapshotFailures }: WorldSample['zones'][number]): Generator<AlertCondition> {
    const rules = this.#rules;
    const idOf = (rule: Alert['rule'], severity: Alert['severity']) => `${rule}/${severity}/${zone}`;
    const condition = (rule: Alert['rule'], severity: Alert['severity'], value: number, threshold: number, forMs = 0): AlertCondition => ({
      id: idOf(rule, severity),
      rule,
      severity,
      subject: zone,
      value,
      threshold,
      forMs,
    });
    if (tickMs > rules.tickCriticalMs) yield condition('slow-tick', 'critical', tickMs, rules.tickCriticalMs, rules.tickCriticalForMs);
    if (tickMs > rules.tickWarningMs) {
      const coveredBy = idOf('slow-tick', 'critical');
      yield { ...condition('slow-tick', 'warning', tickMs, rules.tickWarningMs, rules.tickWarningForMs), coveredBy };
    }
    if (waiting > rules.queueMax) yield condition('long-queue', 'warning', waiting, rules.queueMax);
    if (snapshotFailures >= rules.snapshotFailures) yield condition('snapshots-fail', 'warning', snapshotFailures, rules.snapshotFailures);
  }

  /** Largest percentage of players missing without a `leave`, compared with each sample of the last minute. */
  #lostPercent(): number {
    const now = this.#samples.at(-1)?.ccu ?? 0;
    let left = 0;
    let most = 0;
    for (const sample of this.#samples.toReversed()) {
      const lost = sample.ccu - left - now;
      if (sample.ccu >= CCU_MIN) most = Math.max(most, (lost / sample.ccu) * 100);
      left += sample.left;
    }
    return most;
  }
}
