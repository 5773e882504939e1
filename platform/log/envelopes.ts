import type { EventEnvelope } from '@millrace/contracts';
import { type EventBatch, kindOf } from '@millrace/kernel';

/** The events of a batch as envelopes, for clients and operators. */
export function* envelopesOf(batch: EventBatch): Generator<EventEnvelope> {
  const kind = kindOf(batch.zone);
  for (const [index, event] of batch.events.entries()) {
    const { type, ...data } = event;
    const seq = batch.firstSeq + index;
    const meta = batch.metas?.[index];
    yield {
      id: eventId(batch, index),
      zone: batch.zone,
      kind,
      seq,
      epoch: batch.epoch,
      type,
      version: batch.version,
      time: batch.time,
      ...(meta?.tenant !== undefined && { tenant: meta.tenant }),
      ...(meta?.actor !== undefined && { actor: meta.actor }),
      ...(meta?.correlation !== undefined && { correlation: meta.correlation }),
      ...(meta?.id !== undefined && { causation: meta.id }),
      data,
    };
  }
}

export function eventId(batch: EventBatch, index: number): string {
  return `${batch.zone}/${batch.epoch}/${batch.firstSeq + index}`;
}
