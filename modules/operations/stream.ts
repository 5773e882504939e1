import type { Hub, InitialEvent } from '@millrace/streams';
import { eventStats } from './event-stats.ts';
import type { OperationsParts } from './routes.ts';

type OperationsStreamParts = Pick<OperationsParts, 'consumers' | 'topics' | 'flow' | 'alerts'>;

/** Current event rates, consumer groups and alerts: the initial events of the channel, and an update of it once per second. */
export function operationsEvents({ consumers, topics, flow, alerts }: OperationsStreamParts): InitialEvent[] {
  return [
    { event: 'flow', key: 'flow', data: eventStats(flow, topics()) },
    { event: 'consumers', key: 'consumers', data: consumers().map((consumer) => consumer.status()) },
    { event: 'alerts', key: 'alerts', data: alerts() },
  ];
}

export function publishOperations(hub: Hub, parts: OperationsStreamParts): void {
  if (!hub.isWanted('operations')) return;
  for (const { event, key, data } of operationsEvents(parts)) hub.publish('operations', 'conflated', event, key, data);
}
