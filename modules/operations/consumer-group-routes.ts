import { ENDPOINTS } from '@millrace/contracts';
import { ApiProblem, type Routes } from '@millrace/http';
import type { Consumer } from '@millrace/module';

/** Dependencies of the endpoints of consumer groups and dead letters. */
export interface ConsumerGroupParts {
  readonly consumers: () => readonly Consumer[];
  /** Writes an operator’s action to the audit entries of the server log. */
  readonly audit: (action: string, detail: object) => void;
}

/** Adds the endpoints that list, pause and resume consumer groups, and that skip the events they lost. */
export function consumerGroupRoutes(routes: Routes, { consumers, audit }: ConsumerGroupParts): void {
  routes.list(
    ENDPOINTS.listConsumerGroups,
    ({ group }) => group,
    () => consumers().map((consumer) => consumer.status()),
  );
  routes.handle(ENDPOINTS.pauseConsumerGroup, ({ params: { group } }) => {
    const consumer = consumerOf(consumers(), group);
    consumer.pause();
    audit('consumer group paused', { group });
    return consumer.status();
  });
  routes.handle(ENDPOINTS.resumeConsumerGroup, ({ params: { group } }) => {
    const consumer = consumerOf(consumers(), group);
    consumer.resume();
    audit('consumer group resumed', { group });
    return consumer.status();
  });
  routes.handle(ENDPOINTS.skipDroppedEvents, async ({ params: { group }, principal }) => {
    const consumer = consumerOf(consumers(), group);
    const { overtaken } = consumer.status();
    if ((await consumer.skipDropped()) === 0)
      throw new ApiProblem('CONFLICT', `Consumer group "${group}" has no dropped events.`, 'Nothing to skip.');
    audit('dropped events skipped', { group, overtaken, operator: principal.name });
    return consumer.status();
  });
}

/** The consumer of a group. @throws ApiProblem NOT_FOUND */
export function consumerOf(consumers: readonly Consumer[], group: string): Consumer {
  const consumer = consumers.find((one) => one.group === group);
  if (consumer) return consumer;
  const groups = consumers.map((one) => one.group).join(', ');
  throw new ApiProblem('NOT_FOUND', `Unknown consumer group "${group}".`, `Consumer groups: ${groups}.`);
}
