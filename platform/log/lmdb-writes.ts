import { after, type EventBatch, type LogPosition, lastSeqOf, SequenceGap, WriterEnded, type ZoneAddress } from '@millrace/kernel';
import type { Owner, WaitingAppend } from './lmdb-writer.ts';
import { partitionIndex, widthOf } from './partitions.ts';
import { type WrittenBatch, writerOf } from './written-batch.ts';

/** Newest seq of a zone, with the epoch of the owner that wrote it and the position of its newest record. */
export interface Head {
  readonly epoch: number;
  readonly seq: number;
  /** Offset of the record that holds `seq`. */
  readonly at: number;
}

/** Where each partition ends: the offset of its next event. */
export type Ends = readonly number[];

/** What decides which appends are written. */
export interface LogView {
  readonly ends: Ends;
  headOf(zone: ZoneAddress): Head;
  ownerOf(shard: number): Owner | undefined;
}

/** A prepared write, valid while the log is unchanged. */
export interface Writing {
  /** By append, its position, or the reason why it is not part of the write. */
  readonly outcome: ReadonlyMap<WaitingAppend, LogPosition | Error>;
  readonly groups: readonly (EventBatch[] | undefined)[];
  readonly heads: ReadonlyMap<ZoneAddress, Head>;
  readonly before: Ends;
  readonly ends: Ends;
}

/** Checks appends, and groups their batches by partition. An append of an earlier owner, or with a gap, is left out as a whole. */
export function prepareWrite(appends: readonly WaitingAppend[], view: LogView): Writing {
  const heads = new Map<ZoneAddress, Head>();
  const groups: (EventBatch[] | undefined)[] = [];
  const before = view.ends;
  const ends = [...before];
  const outcome = new Map<WaitingAppend, LogPosition | Error>();
  for (const append of appends) {
    const refusal = refusalOf(append, view, heads);
    if (refusal) {
      outcome.set(append, refusal);
      continue;
    }
    for (const batch of append.batches) {
      const index = partitionIndex(batch.zone);
      const at = before[index] ?? 0;
      const group = groups[index];
      if (group) group.push(batch);
      else groups[index] = [batch];
      ends[index] = (ends[index] ?? 0) + widthOf(batch);
      heads.set(batch.zone, { epoch: append.owner.epoch, seq: lastSeqOf(batch), at });
      if (!outcome.has(append)) outcome.set(append, at);
    }
  }
  return { outcome, groups, heads, before, ends };
}

function refusalOf({ shard, owner, batches }: WaitingAppend, view: LogView, heads: ReadonlyMap<ZoneAddress, Head>): Error | null {
  if (view.ownerOf(shard)?.name !== owner.name) return new WriterEnded(shard, 'fenced');
  const due = new Map<ZoneAddress, number>();
  for (const batch of batches) {
    const { zone, firstSeq } = batch;
    const next = due.get(zone) ?? (heads.get(zone) ?? view.headOf(zone)).seq + 1;
    if (firstSeq !== next) return new SequenceGap(zone, next, firstSeq);
    due.set(zone, lastSeqOf(batch) + 1);
  }
  return null;
}

/**
 * The append of batches that earlier owners have left on a spool. A batch counts if it follows the log. One of which the log has a part does if no later
 * owner wrote that part.
 * @returns `left`: number of events that the log does not have, and that do not follow it
 */
export function earlierAppend(batches: readonly WrittenBatch[], view: Pick<LogView, 'headOf'>): { append: WaitingAppend; left: number } {
  const heads = new Map<ZoneAddress, { readonly epoch: number; readonly seq: number }>();
  const accepted: EventBatch[] = [];
  let left = 0;
  for (const batch of batches) {
    const head = heads.get(batch.zone) ?? view.headOf(batch.zone);
    const rest = after(batch, head.seq);
    if (!rest) continue;
    const isNext = rest.firstSeq === head.seq + 1 && (rest === batch || writerOf(batch) >= head.epoch);
    if (isNext) accepted.push(rest);
    else left += widthOf(rest);
    if (isNext) heads.set(batch.zone, { epoch: Math.max(head.epoch, writerOf(batch)), seq: lastSeqOf(rest) });
  }
  const epoch = [...heads.values()].reduce((most, head) => Math.max(most, head.epoch), 0);
  return { append: { shard: 0, owner: { epoch, name: '' }, batches: accepted, done: () => {} }, left };
}
