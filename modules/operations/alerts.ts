import type { Alert } from '@millrace/contracts';
import type { AlertCondition } from '@millrace/module';

/** Number of resolved alerts that are kept. */
const RESOLVED_MAX = 100;

/** Turns conditions into alerts: when each began, and when it was resolved. */
export class AlertWatch {
  readonly #since = new Map<string, number>();
  readonly #active = new Map<string, Alert>();
  #resolved: Alert[] = [];

  /**
   * Call it once per second with all conditions that hold.
   * @param time epoch ms
   * @returns the alerts that began or were resolved
   */
  note(time: number, conditions: Iterable<AlertCondition>): Alert[] {
    const changed: Alert[] = [];
    const found = new Set<string>();
    for (const { id, severity, rule, subject, value, threshold, forMs } of conditions) {
      found.add(id);
      const since = this.#since.get(id) ?? time;
      this.#since.set(id, since);
      if (time - since < forMs) continue;
      const known = this.#active.has(id);
      const alert: Alert = { id, severity, rule, subject, value, threshold, startedAt: since, endedAt: null };
      this.#active.set(id, alert);
      if (!known) changed.push(alert);
    }
    for (const id of [...this.#since.keys()]) if (!found.has(id)) this.#since.delete(id);
    for (const [id, alert] of [...this.#active]) {
      if (found.has(id)) continue;
      this.#active.delete(id);
      const resolved = { ...alert, endedAt: time };
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
