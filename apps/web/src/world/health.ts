import type { WorldZoneStatus } from '@millrace/contracts';

/** Health of a zone, by its longest tick of the last second; `offline` without a host. */
export type Health = 'offline' | 'healthy' | 'busy' | 'slow' | 'critical';

/** Upper bound of the longest tick per second for each health level, ms; the last ones are the alert thresholds. */
const GOOD_MS = 20;
const BUSY_MS = 70;
const SLOW_MS = 100;

export function healthOf({ host, tickMsMax }: Pick<WorldZoneStatus, 'host' | 'tickMsMax'>): Health {
  if (host === null) return 'offline';
  if (tickMsMax < GOOD_MS) return 'healthy';
  if (tickMsMax < BUSY_MS) return 'busy';
  return tickMsMax <= SLOW_MS ? 'slow' : 'critical';
}

export const HEALTH_STYLE: Readonly<Record<Health, string>> = {
  offline: 'bg-raised text-muted border-dashed',
  healthy: 'bg-accent-soft text-accent',
  busy: 'bg-accent/35 text-ink',
  slow: 'bg-warn-soft text-warn border-warn',
  critical: 'bg-alarm text-surface border-alarm',
};
