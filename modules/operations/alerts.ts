import type { Alert, AlertRules } from '@millrace/contracts';

/** What the rules look at, once a second. */
export interface WorldSample {
  /** Epoch ms. */
  readonly time: number;
  /** Players that play: in a zone that is open, and not cut off. */
  readonly ccu: number;
  /** Players that went of their own accord in the last second. */
  readonly left: number;
  /** Players and items that are in more than one place. */
  readonly duplicates: readonly { readonly what: 'player' | 'item'; readonly id: string; readonly places: number }[];
  readonly zones: readonly {
    readonly zone: string;
    /** Longest tick of the last second, ms. */
    readonly tickMs: number;
    /** Commands in the mailbox. */
    readonly waiting: number;
    /** Snapshots that failed since the last one that did not. */
    readonly snapshotFailures: number;
  }[];
  /** Commands answered in the last second, and those that failed through no fault of the player. */
  readonly answered: number;
  readonly failed: number;
  /** `overtaken`: events that retention has dropped before the group read them. */
  readonly lags: readonly { readonly group: string; readonly lag: number; readonly overtaken?: number }[];
  readonly storage: StorageSample;
  /** Instruments whose stored candles are not what their stored trades make, and how many of the sampled ones. */
  readonly candles?: readonly { readonly instrument: string; readonly candles: number }[];
}

/** Room on the disk, and whether what is decided can be recorded. */
export interface StorageSample {
  /** Null until it is known. */
  readonly disk: { readonly freeMiB: number; readonly freePercent: number } | null;
  /** `isUnwritten`: the log takes nothing from it, or only by way of the disk. */
  readonly outboxes: readonly { readonly name: string; readonly isUnwritten: boolean; readonly spoolPercent: number }[];
}

interface Finding {
  readonly id: string;
  readonly severity: Alert['severity'];
  readonly rule: Alert['rule'];
  readonly subject: string;
  readonly value: number;
  readonly threshold: number;
  /** How long it must have been so, ms. */
  readonly forMs: number;
}

/** Room below the bound of a warning that is critical: a fifth of it. */
const DISK_CRITICAL = 0.2;
/** Samples that a drop of players and a rate of errors are judged over. */
const MINUTE_SAMPLES = 60;
/** Players below which a drop means nothing. */
const CCU_MIN = 10;
/** How long players may be gone: zones that move to another host come back sooner. */
const CCU_DROP_MS = 3_000;
/** Duplicates that are told of. */
const DUPLICATES_MAX = 20;
/** Instruments with differing candles that are told of. */
const CANDLES_MAX = 20;
/** Answers below which a rate means nothing. */
const ANSWERED_MIN = 20;
/** Alerts that are over and still shown. */
const PAST_MAX = 100;

/** Watches samples and says what deserves a person’s attention, since when, and when it was over. */
export class AlertWatch {
  readonly #rules: AlertRules;
  #samples: WorldSample[] = [];
  readonly #since = new Map<string, number>();
  readonly #active = new Map<string, Alert>();
  #past: Alert[] = [];

  constructor(rules: AlertRules) {
    this.#rules = rules;
  }

  /** Judges a sample; returns the alerts that have begun or ended with it. */
  note(sample: WorldSample): Alert[] {
    this.#samples.push(sample);
    if (this.#samples.length > MINUTE_SAMPLES) this.#samples.shift();
    const changed: Alert[] = [];
    const found = new Set<string>();
    for (const finding of this.#findings(sample)) {
      found.add(finding.id);
      const since = this.#since.get(finding.id) ?? sample.time;
      this.#since.set(finding.id, since);
      if (sample.time - since < finding.forMs) continue;
      const { id, severity, rule, subject, value, threshold } = finding;
      const known = this.#active.get(id);
      const alert: Alert = { id, severity, rule, subject, value, threshold, startedAt: since, endedAt: null };
      this.#active.set(id, alert);
      if (!known) changed.push(alert);
    }
    for (const id of [...this.#since.keys()]) if (!found.has(id)) this.#since.delete(id);
    for (const [id, alert] of [...this.#active]) {
      if (found.has(id)) continue;
      this.#active.delete(id);
      const over = { ...alert, endedAt: sample.time };
      this.#past = [over, ...this.#past].slice(0, PAST_MAX);
      changed.push(over);
    }
    return changed;
  }

  /** Those that hold now, the gravest first, then those that are over. */
  list(): Alert[] {
    const active = [...this.#active.values()].sort(
      (one, other) => Number(other.severity === 'critical') - Number(one.severity === 'critical') || one.startedAt - other.startedAt,
    );
    return [...active, ...this.#past];
  }

  /** How many of a hundred players are gone that did not go of their own accord, compared with any moment of the last minute. */
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

  *#storage({ disk, outboxes }: StorageSample): Generator<Finding> {
    const { diskFreeMiB, diskFreePercent, spoolPercent, unrecordedForMs } = this.#rules;
    if (disk && (disk.freeMiB < diskFreeMiB || disk.freePercent < diskFreePercent)) {
      const severity = disk.freeMiB < diskFreeMiB * DISK_CRITICAL ? 'critical' : 'warning';
      yield {
        id: `disk-low/${severity}`,
        rule: 'disk-low',
        severity,
        subject: 'disk',
        value: disk.freeMiB,
        threshold: diskFreeMiB,
        forMs: 0,
      };
    }
    for (const { name: subject, isUnwritten, spoolPercent: value } of outboxes) {
      const about = { severity: 'critical', subject } as const;
      if (value > spoolPercent)
        yield { ...about, id: `spool-full/${subject}`, rule: 'spool-full', value, threshold: spoolPercent, forMs: 0 };
      if (isUnwritten)
        yield { ...about, id: `log-unwritable/${subject}`, rule: 'log-unwritable', value: 1, threshold: 0, forMs: unrecordedForMs };
    }
  }

  *#findings(sample: WorldSample): Generator<Finding> {
    const rules = this.#rules;
    yield* this.#storage(sample.storage);
    for (const { zone, tickMs, waiting, snapshotFailures } of sample.zones) {
      const about = (rule: Alert['rule'], severity: Alert['severity'], value: number, threshold: number, forMs = 0): Finding => ({
        id: `${rule}/${severity}/${zone}`,
        rule,
        severity,
        subject: zone,
        value,
        threshold,
        forMs,
      });
      if (tickMs > rules.tickCriticalMs) yield about('slow-tick', 'critical', tickMs, rules.tickCriticalMs, rules.tickCriticalForMs);
      else if (tickMs > rules.tickWarningMs) yield about('slow-tick', 'warning', tickMs, rules.tickWarningMs, rules.tickWarningForMs);
      if (waiting > rules.queueMax) yield about('long-queue', 'warning', waiting, rules.queueMax);
      if (snapshotFailures >= rules.snapshotFailures) yield about('snapshots-fail', 'warning', snapshotFailures, rules.snapshotFailures);
    }
    for (const { group, overtaken = 0 } of sample.lags)
      if (overtaken > 0)
        yield {
          id: `overtaken/${group}`,
          rule: 'overtaken',
          severity: 'critical',
          subject: group,
          value: overtaken,
          threshold: 0,
          forMs: 0,
        };
    for (const { group, lag } of sample.lags)
      if (lag > rules.lagMax)
        yield {
          id: `lag/${group}`,
          rule: 'lag',
          severity: 'warning',
          subject: group,
          value: lag,
          threshold: rules.lagMax,
          forMs: rules.lagForMs,
        };
    for (const { instrument, candles } of (sample.candles ?? []).slice(0, CANDLES_MAX))
      yield {
        id: `candles-differ/${instrument}`,
        rule: 'candles-differ',
        severity: 'warning',
        subject: instrument,
        value: candles,
        threshold: 0,
        forMs: 0,
      };
    const lostPercent = this.#lostPercent();
    if (lostPercent >= rules.ccuDropPercent)
      yield {
        id: 'ccu-drop',
        rule: 'ccu-drop',
        severity: 'critical',
        subject: 'world',
        value: lostPercent,
        threshold: rules.ccuDropPercent,
        forMs: CCU_DROP_MS,
      };
    for (const { what, id, places } of sample.duplicates.slice(0, DUPLICATES_MAX))
      yield {
        id: `duplicate/${what}/${id}`,
        rule: 'duplicate',
        severity: 'critical',
        subject: `${what} ${id}`,
        value: places,
        threshold: 1,
        forMs: 0,
      };
    const answered = this.#samples.reduce((sum, one) => sum + one.answered, 0);
    const failed = this.#samples.reduce((sum, one) => sum + one.failed, 0);
    const failedPercent = answered === 0 ? 0 : (failed / answered) * 100;
    if (answered >= ANSWERED_MIN && failedPercent > rules.errorPercent)
      yield {
        id: 'errors',
        rule: 'errors',
        severity: 'critical',
        subject: 'world',
        value: failedPercent,
        threshold: rules.errorPercent,
        forMs: 0,
      };
  }
}
