import type { CommandMeta, ZoneAddress } from './definition.ts';

/**
 * What one zone decided in one turn: the unit in which events travel to the log, the hub and the consumers. An event’s
 * identity is (zone, epoch, seq); the seq of `events[i]` is `firstSeq + i`.
 */
export interface EventBatch<Event = { type: string }> {
  readonly zone: ZoneAddress;
  /** Of the owner that decided. */
  readonly epoch: number;
  /** Epoch of the owner that writes what an earlier one decided; it is this one that fencing looks at. */
  readonly writer?: number;
  readonly firstSeq: number;
  /** Version of the zone kind that decided. */
  readonly version: number;
  /** When it was decided, epoch ms. */
  readonly time: number;
  readonly events: readonly Event[];
  /** What came with each event’s command; null when no command of the batch brought anything. */
  readonly metas: readonly (CommandMeta | null)[] | null;
  /**
   * Set on a batch without events that stands for a range the log never got: the range ends at `lastSeq`, and `state`
   * is the zone’s state there, so that replay goes on exactly.
   */
  readonly loss?: { readonly lastSeq: number; readonly checkpoint: Checkpoint };
}

/** Everything that a zone is, at one seq. */
export interface Checkpoint {
  readonly state: unknown;
  /** Ids of the newest answered commands with the seq they were answered at, oldest first; below zero when those events are lost. */
  readonly answered: readonly (readonly [id: string, seq: number])[];
}

export function lastSeqOf(batch: EventBatch): number {
  return batch.loss ? batch.loss.lastSeq : batch.firstSeq + batch.events.length - 1;
}

/** The epoch that a batch is written under. */
export function writerOf(batch: EventBatch): number {
  return batch.writer ?? batch.epoch;
}

/**
 * What a log must do with a batch of a zone that it holds up to `head.seq` under `head.epoch`: refuse it because another
 * owner has claimed the zone since, let it be because it has all of it, or write the part that this returns.
 * @throws SequenceGap when events between the two are missing
 */
export function admit(batch: EventBatch, head: { readonly epoch: number; readonly seq: number }): EventBatch | 'stale' | 'known' {
  if (writerOf(batch) < head.epoch) return 'stale';
  const rest = after(batch, head.seq);
  if (!rest) return 'known';
  if (rest.firstSeq !== head.seq + 1) throw new SequenceGap(batch.zone, head.seq + 1, rest.firstSeq);
  return rest;
}

/** A batch does not follow what the log has of its zone. It never will: what is between the two is lost. */
export class SequenceGap extends Error {
  readonly zone: ZoneAddress;
  /** The seq that should have come. */
  readonly due: number;

  constructor(zone: ZoneAddress, due: number, came: number) {
    super(`${zone}: the log is at seq ${due - 1}, so seq ${due} is due, but ${came} came`);
    this.zone = zone;
    this.due = due;
  }
}

/** The part of a batch that comes after `seq`; undefined when nothing of it does. */
export function after(batch: EventBatch, seq: number): EventBatch | undefined {
  if (batch.firstSeq > seq) return batch;
  if (lastSeqOf(batch) <= seq) return undefined;
  // Of a lost range, too, a part may have arrived all the same, when only the answer was lost. It has no events to cut.
  const known = seq - batch.firstSeq + 1;
  return { ...batch, firstSeq: seq + 1, events: batch.events.slice(known), metas: batch.metas?.slice(known) ?? null };
}
