import type { Alert, AlertRules } from '@millrace/contracts';
import type { AlertCondition } from '@millrace/module';

/** State of the world over the last second. */
export interface WorldSample {
  /** Players that play: in a zone that is open, and connected. */
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
  /** Commands answered, and those that failed without fault of the player. */
  readonly answered: number;
  readonly failed: number;
}

/** Samples over which a drop of players and a rate of errors are computed: a minute. */
const SAMPLES = 60;
/** Players below which a drop is no condition. */
const CCU_MIN = 10;
/** How long players may be missing: zones that move to another host are back sooner. */
const CCU_DROP_MS = 3_000;
/** Duplicates for which there are alerts. */
const DUPLICATES_MAX = 20;
/** Answers below which a rate of errors is no condition. */
const ANSWERED_MIN = 20;

/** Conditions of the world that deserve attention. */
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
    const condition = (rule: Alert['rule'], severity: Alert['severity'], value: number, threshold: number, forMs = 0): AlertCondition => ({
      id: `${rule}/${severity}/${zone}`,
      rule,
      severity,
      subject: zone,
      value,
      threshold,
      forMs,
    });
    if (tickMs > rules.tickCriticalMs) yield condition('slow-tick', 'critical', tickMs, rules.tickCriticalMs, rules.tickCriticalForMs);
    else if (tickMs > rules.tickWarningMs) yield condition('slow-tick', 'warning', tickMs, rules.tickWarningMs, rules.tickWarningForMs);
    if (waiting > rules.queueMax) yield condition('long-queue', 'warning', waiting, rules.queueMax);
    if (snapshotFailures >= rules.snapshotFailures) yield condition('snapshots-fail', 'warning', snapshotFailures, rules.snapshotFailures);
  }

  /** Percentage of players that are missing without having left, compared with any second of the last minute. */
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
