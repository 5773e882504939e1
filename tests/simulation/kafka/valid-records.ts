import type { EventBatch } from '@millrace/kernel';
import { unpack } from 'msgpackr';
import type { History } from './shard-owner.ts';

export type ValidLog = readonly { readonly offset: number; readonly batch: EventBatch }[];

/**
 * The valid batches of a shard, by the rule as its design states it: written anew, not with the code of the platform. A claim counts if it continues the
 * epoch; data counts if it is of the counting claim, and comes in the order of its owner.
 */
export function validRecords(records: readonly { offset: number; value: Buffer }[]): { offset: number; batch: EventBatch }[] {
  const valid: { offset: number; batch: EventBatch }[] = [];
  let owner = null as { epoch: number; nonce: string; written: number } | null;
  for (const { offset, value } of records) {
    const record = unpack(value) as Record<string, unknown>;
    const isFirst = owner === null && offset > 0;
    if (record.kind === 'claim') {
      if (isFirst || (record.previous === (owner?.epoch ?? 0) && (record.epoch as number) > (owner?.epoch ?? 0)))
        owner = { epoch: record.epoch as number, nonce: record.nonce as string, written: 0 };
    } else if (record.kind === 'head' && isFirst) {
      owner = { epoch: record.epoch as number, nonce: record.nonce as string, written: record.index as number };
    } else if (record.kind === 'data' && owner !== null && owner.nonce === record.nonce && owner.written === record.index) {
      owner.written++;
      valid.push({ offset, batch: record.batch as EventBatch });
    }
  }
  return valid;
}

/** Violated promises: what was confirmed must be in the log once, at its place, and the events of each zone must follow each other. */
export function mistakesIn(log: ValidLog, history: History, wasCut: boolean): string[] {
  const mistakes = [...history.refused];
  const seqs = new Map<string, { first: number; last: number }>();
  const places = new Map<string, string>();
  for (const { batch } of log)
    for (const [index, event] of batch.events.entries()) {
      const seq = batch.firstSeq + index;
      const { command } = event as unknown as { command: string };
      const { first = seq, last = wasCut ? seq - 1 : 0 } = seqs.get(batch.zone) ?? {};
      if (seq !== last + 1) mistakes.push(`${batch.zone}: event ${seq} follows event ${last}`);
      seqs.set(batch.zone, { first, last: seq });
      if (places.has(command)) mistakes.push(`${command} is in the log twice`);
      places.set(command, `${batch.zone} ${seq}`);
    }
  for (const [command, { zone, seq }] of history.durable) {
    const isCut = wasCut && seq < (seqs.get(zone)?.first ?? Number.POSITIVE_INFINITY);
    if (!isCut && places.get(command) !== `${zone} ${seq}`)
      mistakes.push(`${command} was answered with event ${seq} of ${zone}, but stands at ${places.get(command) ?? 'no place'}`);
  }
  return mistakes;
}
