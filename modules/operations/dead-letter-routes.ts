import { type DeadLetterContent, ENDPOINTS } from '@millrace/contracts';
import { ApiProblem, operatorOf, type Routes } from '@millrace/http';
import { type EventBatch, messageOf } from '@millrace/kernel';
import type { OpenDeadLetter } from '@millrace/log';
import type { Consumer } from '@millrace/module';
import { type ConsumerGroupParts, consumerOf } from './consumer-group-routes.ts';

interface DeadLetterAddress {
  readonly group: string;
  readonly id: number;
}

/** Adds the endpoints that list, edit, discard and replay dead letters. */
export function deadLetterRoutes(routes: Routes, { consumers, audit }: ConsumerGroupParts): void {
  routes.list(
    ENDPOINTS.listDeadLetters,
    ({ group, id }) => `${group} ${id}`,
    async () => (await Promise.all(consumers().map(({ log, group }) => log.deadLetters.list(group)))).flat(),
  );
  routes.handle(ENDPOINTS.getDeadLetter, async ({ params }) => contentOf(await openDeadLetter(consumers(), params)));
  routes.handle(ENDPOINTS.updateDeadLetter, async ({ params, body, principal }) => {
    const { deadLetter, batch } = await openDeadLetter(consumers(), params);
    const { repaired, was } = withEventData(deadLetter.id, batch, body.seq, body.data);
    await consumerOf(consumers(), params.group).log.deadLetters.replace(params.id, repaired);
    audit('dead letter edited', {
      deadLetter: deadLetter.id,
      zone: deadLetter.zone,
      seq: body.seq,
      operator: operatorOf(principal, body),
      reason: body.reason,
      was,
      is: body.data,
    });
    return contentOf(await openDeadLetter(consumers(), params));
  });
  routes.handle(ENDPOINTS.deleteDeadLetter, async ({ params, principal }) => {
    const { deadLetter } = await openDeadLetter(consumers(), params);
    await consumerOf(consumers(), params.group).log.deadLetters.remove(params.id);
    audit('dead letter deleted', { deadLetter: params.id, zone: deadLetter.zone, seq: deadLetter.seq, operator: principal.name });
  });
  routes.handle(ENDPOINTS.replayDeadLetter, async ({ params, principal }) => {
    await openDeadLetter(consumers(), params);
    try {
      if (await consumerOf(consumers(), params.group).replay(params.id)) {
        audit('dead letter replayed', { deadLetter: params.id, operator: operatorOf(principal, {}) });
        return { replayed: true };
      }
    } catch (error) {
      throw new ApiProblem('CONFLICT', `Dead letter ${params.id} failed again: ${messageOf(error)}.`, 'Edit it, or fix the cause, first.');
    }
    throw unknownDeadLetter(params.id);
  });
}

/** @throws ApiProblem NOT_FOUND */
async function openDeadLetter(consumers: readonly Consumer[], { group, id }: DeadLetterAddress): Promise<OpenDeadLetter> {
  const found = await consumerOf(consumers, group).log.deadLetters.open(id);
  if (found?.deadLetter.group !== group) throw unknownDeadLetter(id);
  return found;
}

/**
 * Replaces the data of one event in the batch of a dead letter; its type stays. @returns the new batch and the old event
 * @throws ApiProblem BAD_REQUEST when the batch has no event with this seq
 */
function withEventData(
  id: number,
  batch: EventBatch,
  seq: number,
  data: object,
): { repaired: EventBatch; was: EventBatch['events'][number] } {
  const index = seq - batch.firstSeq;
  const was = batch.events[index];
  if (!was)
    throw new ApiProblem(
      'BAD_REQUEST',
      `Dead letter ${id} has no event with seq ${seq}.`,
      `It holds ${batch.firstSeq} to ${batch.firstSeq + batch.events.length - 1}.`,
    );
  return { repaired: { ...batch, events: batch.events.with(index, { ...data, type: was.type }) }, was };
}

function contentOf({ deadLetter, batch }: OpenDeadLetter): DeadLetterContent {
  return {
    deadLetter,
    events: batch.events.map(({ type, ...data }, index) => ({ seq: batch.firstSeq + index, type, data })),
  };
}

function unknownDeadLetter(id: number): ApiProblem {
  return new ApiProblem('NOT_FOUND', `Dead letter ${id} not found.`, 'GET /api/v1/dead-letters lists all dead letters.');
}
