import type { Alert } from '@millrace/contracts';

/** A condition that deserves attention while it holds. */
export interface AlertCondition {
  /** Identifies the condition over time: the same id means that it still holds. */
  readonly id: string;
  readonly rule: Alert['rule'];
  readonly severity: Alert['severity'];
  readonly subject: string;
  readonly value: number;
  readonly threshold: number;
  /** How long it must hold before it is an alert, ms. */
  readonly forMs: number;
}

/** Conditions that hold now. Called once per second. @param time epoch ms */
export type AlertSource = (time: number) => Iterable<AlertCondition>;
