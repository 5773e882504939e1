import type { Alert } from '@millrace/contracts';
import type { Hub, InitialEvent } from '@millrace/platform/streams';
import type { Flow } from './flow.ts';
import { type Consumer, eventStats } from './routes.ts';

export interface OperationsStreamParts {
  readonly consumers: readonly Consumer[];
  readonly flow: Flow;
  readonly alerts: () => Alert[];
}

/** How the log, its readers and the alerts stand: what a reader of the channel is told first, and once a second from then on. */
export function operationsEvents({ consumers, flow, alerts }: OperationsStreamParts): InitialEvent[] {
  return [
    { event: 'flow', key: 'flow', data: eventStats(flow, consumers) },
    { event: 'consumers', key: 'consumers', data: consumers.map((consumer) => consumer.status()) },
    { event: 'alerts', key: 'alerts', data: alerts() },
  ];
}

export function publishOperations(hub: Hub, parts: OperationsStreamParts): void {
  if (!hub.isWanted('operations')) return;
  for (const { event, key, data } of operationsEvents(parts)) hub.publish('operations', 'conflated', event, key, data);
}
