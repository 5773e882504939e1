import { type Alert, ENDPOINTS } from '@millrace/contracts';
import type { Routes } from '@millrace/http';
import type { Topic } from '@millrace/topics';
import { type ConsumerGroupParts, consumerGroupRoutes } from './consumer-group-routes.ts';
import { deadLetterRoutes } from './dead-letter-routes.ts';
import { eventStats } from './event-stats.ts';
import type { Flow } from './flow.ts';

export interface OperationsParts extends ConsumerGroupParts {
  readonly topics: () => readonly Topic[];
  readonly flow: Flow;
  readonly alerts: () => Alert[];
}

/** Adds the endpoints of the log, its consumer groups and the alerts. */
export function operationsRoutes(routes: Routes, parts: OperationsParts): void {
  consumerGroupRoutes(routes, parts);
  deadLetterRoutes(routes, parts);
  routes.handle(ENDPOINTS.getEventStats, () => eventStats(parts.flow, parts.topics()));
  // An alert that occurs again has the same id.
  routes.list(ENDPOINTS.listAlerts, ({ id, startedAt }) => `${id} ${startedAt}`, parts.alerts);
}
