import type { Alert } from '@millrace/contracts';
import type { Clock } from '@millrace/kernel';
import type { AlertCondition } from '@millrace/module';

/** Number of resolved alerts that are kept. */
const RESOLVED_MAX = 100;

/** Turns conditions into alerts: when each began, and when it was resolved. */
export class AlertWatch {
  readonly #clock: Pick<Clock, 'now' | 'elapsed'>;
  /** When each condition began: epoch ms, and ms of the clock’s `elapsed`, which no change of the wall clock affects. */
  readonly #since = new Map<string, { readonly time: number; readonly elapsed: number }>();
  readonly #active = new Map<string, Alert>();
  #resolved: Alert[] = [];

  constructor(clock: Pick<Clock, 'now' | 'elapsed'>) {
    this.#clock = clock;
  }

  /**
   * Call it once per second with all conditions that hold.
   * @returns the alerts that began or were resolved
   */
  note(conditions: Iterable<AlertCondition>): Alert[] {
    const now = { time: this.#clock.now(), elapsed: this.#clock.elapsed() };
    const changed: Alert[] = [];
    const holding = new Map([...conditions].map((condition) => [condition.id, condition]));
    for (const id of holding.keys()) if (!this.#since.has(id)) this.#since.set(id, now);
    for (const id of [...this.#since.keys()]) if (!holding.has(id)) this.#since.delete(id);
    const due = new Map([...holding].filter(([id, { forMs }]) => now.elapsed - (this.#since.get(id) ?? now).elapsed >= forMs));
    for (const [id, { coveredBy }] of [...due]) {
      if (coveredBy === undefined || !due.has(coveredBy)) continue;
      due.delete(id);
      // When the other alert has ended, this one begins.
      this.#since.set(id, { ...(this.#since.get(id) ?? now), time: now.time });
    }
    for (const [id, { severity, rule, subject, value, threshold }] of due) {
      const known = this.#active.has(id);
      const startedAt = (this.#since.get(id) ?? now).time;
      const alert: Alert = { id, severity, rule, subject, value, threshold, startedAt, endedAt: null };
      this.#active.set(id, alert);
      if (!known) changed.push(alert);
    }
    for (const [id, alert] of [...this.#active]) {
      if (due.has(id)) continue;
      this.#active.delete(id);
      // The wall clock may have been set back.
      const resolved = { ...alert, endedAt: Math.max(now.time, alert.startedAt) };
      this.#resolved = [resolved, ...this.#resolved].slice(0, RESOLVED_MAX);
      changed.push(resolved);
    }
    return changed;
  }

  /** Active alerts, critical and oldest first, then resolved ones, newest first. */
  list(): Alert[] {
    const active = [...this.#active.values()].sort(
      (one, other) => Number(other.severity === 'critical') - Number(one.severity === 'critical') || one.startedAt - other.startedAt,
    );
    return [...active, ...this.#resolved];
  }
}
