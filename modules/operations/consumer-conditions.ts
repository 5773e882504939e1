import type { AlertRules, ConsumerGroupStatus } from '@millrace/contracts';
import type { AlertCondition } from '@millrace/module';

/** Consumer groups that lag, or that retention has overtaken. */
export function* consumerConditions(
  groups: Iterable<Pick<ConsumerGroupStatus, 'group' | 'lag' | 'overtaken'>>,
  { lagMax, lagForMs }: Pick<AlertRules, 'lagMax' | 'lagForMs'>,
): Generator<AlertCondition> {
  for (const { group, lag, overtaken } of groups) {
    const dropped = overtaken.reduce((sum, { from, to }) => sum + to - from, 0);
    const about = { subject: group } as const;
    if (dropped > 0)
      yield { ...about, id: `overtaken/${group}`, rule: 'overtaken', severity: 'critical', value: dropped, threshold: 0, forMs: 0 };
    if (lag > lagMax)
      yield { ...about, id: `lag/${group}`, rule: 'lag', severity: 'warning', value: lag, threshold: lagMax, forMs: lagForMs };
  }
}
