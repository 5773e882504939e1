import type { Alert } from '@millrace/contracts';
import { useFormats } from '../parts/numbers.ts';
import { useText } from '../text/text.ts';

/** Current alerts; renders nothing without alerts. */
export function AlertStrip({ alerts }: { alerts: readonly Alert[] | undefined }) {
  const text = useText();
  const { when } = useFormats();
  const present = alerts?.filter(({ endedAt }) => endedAt === null) ?? [];
  if (present.length === 0) return null;
  return (
    <ul className="mb-3 grid gap-1" role="alert">
      {present.map((alert) => (
        <li
          key={alert.id}
          className={`flex flex-wrap gap-x-3 rounded-md px-3 py-1.5 text-sm ${alert.severity === 'critical' ? 'bg-alarm text-surface' : 'bg-warn-soft text-warn'}`}
        >
          <span className="font-medium">{text[alert.severity]}</span>
          <span>
            {text[ALERT_TEXT[alert.rule]]}: {alert.subject}
          </span>
          <span className="ml-auto">
            {Math.round(alert.value * 10) / 10} / {alert.threshold} · {text.since} {when(alert.startedAt)}
          </span>
        </li>
      ))}
    </ul>
  );
}

export const ALERT_TEXT = {
  'slow-tick': 'alertSlowTick',
  'ccu-drop': 'alertCcuDrop',
  duplicate: 'alertDuplicate',
  errors: 'alertErrors',
  'long-queue': 'alertLongQueue',
  'snapshots-fail': 'alertSnapshots',
  lag: 'alertLag',
  overtaken: 'alertOvertaken',
  'disk-low': 'alertDiskLow',
  'spool-full': 'alertSpoolFull',
  'log-unwritable': 'alertLogUnwritable',
  'log-unavailable': 'alertLogUnavailable',
  'under-replicated': 'alertUnderReplicated',
  'candles-differ': 'alertCandlesDiffer',
} as const satisfies Record<Alert['rule'], string>;
