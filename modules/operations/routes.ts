import { type Alert, type DeadLetterContent, ENDPOINTS, type EventStats } from '@millrace/contracts';
import { ApiProblem, operatorOf, type Routes } from '@millrace/http';
import { type EventBatch, messageOf } from '@millrace/kernel';
import type { EventLog } from '@millrace/log';
import type { Consumer } from '@millrace/module';
import type { Topic } from '@millrace/topics';
import type { Flow } from './flow.ts';

export interface OperationsParts {
  readonly consumers: () => readonly Consumer[];
  readonly topics: () => readonly Topic[];
  readonly flow: Flow;
  readonly alerts: () => Alert[];
  /** Writes what an operator did to the server’s own record. */
  readonly audit: (what: string, detail: object) => void;
}

/** The operators’ API of the log and its readers. */
export function operationsRoutes(routes: Routes, { consumers, topics, flow, alerts, audit }: OperationsParts): void {
  routes.list(
    ENDPOINTS.listConsumerGroups,
    ({ group }) => group,
    () => consumers().map((consumer) => consumer.status()),
  );
  routes.handle(ENDPOINTS.pauseConsumerGroup, ({ params: { group } }) => {
    const consumer = consumerOf(group);
    consumer.pause();
    audit('consumer group paused', { group });
    return consumer.status();
  });
  routes.handle(ENDPOINTS.resumeConsumerGroup, ({ params: { group } }) => {
    const consumer = consumerOf(group);
    consumer.resume();
    audit('consumer group resumed', { group });
    return consumer.status();
  });
  routes.handle(ENDPOINTS.skipDroppedEvents, async ({ params: { group }, principal }) => {
    const consumer = consumerOf(group);
    const { overtaken } = consumer.status();
    if ((await consumer.skipDropped()) === 0)
      throw new ApiProblem('CONFLICT', `Consumer group "${group}" has no dropped events.`, 'Nothing to skip.');
    audit('dropped events skipped', { group, overtaken, operator: principal.name });
    return consumer.status();
  });
  routes.handle(ENDPOINTS.getEventStats, () => eventStats(flow, topics()));
  routes.list(ENDPOINTS.listAlerts, ({ id }) => id, alerts);

  routes.list(
    ENDPOINTS.listDeadLetters,
    ({ group, id }) => `${group} ${id}`,
    () => consumers().flatMap(({ log, group }) => log.deadLetters.list(group)),
  );
  routes.handle(ENDPOINTS.getDeadLetter, ({ params }) => contentOf(params));
  routes.handle(ENDPOINTS.updateDeadLetter, async ({ params, body, principal }) => {
    const { deadLetter, batch } = opened(params);
    const index = body.seq - batch.firstSeq;
    const event = batch.events[index];
    if (!event)
      throw new ApiProblem(
        'BAD_REQUEST',
        `Dead letter ${params.id} has no event with seq ${body.seq}.`,
        `It holds ${batch.firstSeq} to ${batch.firstSeq + batch.events.length - 1}.`,
      );
    const repaired: EventBatch = { ...batch, events: batch.events.with(index, { ...body.data, type: event.type }) };
    await consumerOf(params.group).log.deadLetters.replace(params.id, repaired);
    audit('dead letter edited', {
      deadLetter: deadLetter.id,
      zone: deadLetter.zone,
      seq: body.seq,
      operator: operatorOf(principal, body),
      reason: body.reason,
      was: event,
      is: body.data,
    });
    return contentOf(params);
  });
  routes.handle(ENDPOINTS.deleteDeadLetter, async ({ params, principal }) => {
    const { deadLetter } = opened(params);
    await consumerOf(params.group).log.deadLetters.remove(params.id);
    audit('dead letter discarded', { deadLetter: params.id, zone: deadLetter.zone, seq: deadLetter.seq, operator: principal.name });
  });
  routes.handle(ENDPOINTS.replayDeadLetter, async ({ params, principal }) => {
    opened(params);
    try {
      if (await consumerOf(params.group).replay(params.id)) {
        audit('dead letter replayed', { deadLetter: params.id, operator: operatorOf(principal, {}) });
        return { replayed: true };
      }
    } catch (error) {
      throw new ApiProblem('CONFLICT', `Dead letter ${params.id} failed again: ${messageOf(error)}.`, 'Edit it, or fix the cause, first.');
    }
    throw unknownDeadLetter(params.id);
  });

  function consumerOf(group: string): Consumer {
    const consumer = consumers().find((one) => one.group === group);
    if (!consumer)
      throw new ApiProblem(
        'NOT_FOUND',
        `Unknown consumer group "${group}".`,
        `Consumer groups: ${consumers()
          .map((one) => one.group)
          .join(', ')}.`,
      );
    return consumer;
  }

  function opened({ group, id }: { group: string; id: number }): NonNullable<ReturnType<EventLog['deadLetters']['open']>> {
    const found = consumerOf(group).log.deadLetters.open(id);
    if (found?.deadLetter.group !== group) throw unknownDeadLetter(id);
    return found;
  }

  function contentOf(which: { group: string; id: number }): DeadLetterContent {
    const { deadLetter, batch } = opened(which);
    return {
      deadLetter,
      events: batch.events.map(({ type, ...data }, index) => ({ seq: batch.firstSeq + index, type, data })),
    };
  }
}

export function eventStats(flow: Flow, topics: readonly Topic[]): EventStats {
  return {
    types: flow.types(),
    topics: topics.map(({ name, log }) => {
      const { partitions, bytes } = log.stats();
      return { topic: name, partitions: partitions.map(({ start, end }) => ({ start, end })), bytes };
    }),
  };
}

function unknownDeadLetter(id: number): ApiProblem {
  return new ApiProblem('NOT_FOUND', `Dead letter ${id} not found.`, 'GET /api/v1/dead-letters lists all dead letters.');
}
