import { type Static, Type } from 'typebox';
import { strict } from '../strict.ts';

const threshold = (defaultValue: number, description: string) =>
  Type.Optional(Type.Number({ minimum: 0, default: defaultValue, description }));

/** Section `alerts` of the configuration. */
export const AlertRules = Type.Object(
  {
    tickCriticalMs: threshold(100, 'Critical alert: the ticks of a zone take longer than this, ms, for at least tickCriticalForMs.'),
    tickCriticalForMs: threshold(30_000, 'Duration for tickCriticalMs, ms.'),
    tickWarningMs: threshold(70, 'Warning: the ticks of a zone take longer than this, ms, for at least tickWarningForMs.'),
    tickWarningForMs: threshold(60_000, 'Duration for tickWarningMs, ms.'),
    ccuDropPercent: threshold(
      30,
      'Critical alert: this share of the players or more is lost within one minute, percent. Players who leave do not count.',
    ),
    errorPercent: threshold(5, 'Critical alert: more than this share of the commands failed within one minute, percent.'),
    queueMax: threshold(1_000, 'Warning: more commands than this wait at a zone.'),
    snapshotFailures: threshold(3, 'Warning: this many snapshots of a zone failed in a row.'),
    lagMax: threshold(10_000, 'Warning: the lag of a consumer group is more events than this, for at least lagForMs.'),
    lagForMs: threshold(10_000, 'Duration for lagMax, ms. It allows a group to catch up after a start.'),
    diskFreeMiB: threshold(500, 'Warning: less free space than this on the disk of the data folder, MiB. Critical below one fifth of it.'),
    diskFreePercent: threshold(5, 'Warning: less free space than this on the disk of the data folder, percent.'),
    spoolPercent: threshold(80, 'Critical alert: a spool is fuller than this, percent. A full spool loses events.'),
    unrecordedForMs: threshold(5_000, 'Critical alert: the log accepts no events for this time, ms.'),
  },
  { ...strict, description: 'Thresholds of the alerts.' },
);
export type AlertRules = { readonly [Key in keyof Static<typeof AlertRules>]-?: number };
