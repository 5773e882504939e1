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
  /** Id of a more severe condition of the same subject. While that one is an alert, this one is none; its duration counts on. */
  readonly coveredBy?: string;
}

/** Conditions that hold now. Called once per second. @param time epoch ms */
export type AlertSource = (time: number) => Iterable<AlertCondition>;
