import { after, type EventBatch, lastSeqOf } from '@millrace/kernel';
import { type CarryingSnapshot, writerOf } from './written-batch.ts';

/** A snapshot without its state. */
export type SnapshotOutline = Pick<CarryingSnapshot, 'epoch' | 'seq' | 'unrecorded'>;

/** The part of a zone’s history that was read from a damaged log. */
export interface ReadUpTo {
  /** Highest seq that was read; 0 for none. */
  readonly seq: number;
  /** First seq that was read, by the epoch of the owner that decided it. */
  readonly firstSeqs: ReadonlyMap<number, number>;
  /** Newest epoch and seq of the zone before the damage, if they could be read. */
  readonly head?: { readonly epoch: number; readonly seq: number } | undefined;
}

/** Data of a zone outside the log. */
export interface Elsewhere<Outline> {
  /** Labels of all snapshots, including damaged ones: each proves how far its owner had decided. */
  readonly labels: readonly { readonly epoch: number; readonly seq: number }[];
  /** Readable snapshots that are ahead of the events that were read. */
  readonly snapshots: readonly Outline[];
  /** Batches of the zone in each spool, oldest first. */
  readonly spools: readonly (readonly EventBatch[])[];
}

/** A part of a zone’s history after the last event that was read: events that still exist, or the state after events that are lost. */
export type Part<Outline> =
  | { readonly kind: 'events'; readonly batch: EventBatch }
  | { readonly kind: 'state'; readonly firstSeq: number; readonly snapshot: Outline };

export interface Continuation<Outline> {
  readonly parts: readonly Part<Outline>[];
  /** The seq after which the zone continues. */
  readonly seq: number;
  /** The highest seq of the zone that snapshots and spools prove. */
  readonly knownSeq: number;
}

/**
 * Continues the history of a zone from data outside its log. Events come first: a state replaces events only if no copy of them exists. A snapshot that
 * is ahead of the log does not prove a loss: while the log was unavailable, the events went to a spool, and the snapshot carries them. A snapshot whose
 * carried events begin later than the log ends proves that the log had the events in between.
 */
export function continuationOf<Outline extends SnapshotOutline>(
  read: ReadUpTo,
  { labels, snapshots, spools }: Elsewhere<Outline>,
): Continuation<Outline> {
  const spooled = spools.flatMap(ofNewestWriter).filter((batch) => !isSuperseded(batch, read));
  const carried = snapshots.flatMap(({ unrecorded = [] }) => unrecorded);
  /** By epoch: the seq from which all events were decided by that owner or a newer one. */
  const ownedFrom = new Map<number, number>();
  const own = (epoch: number, seq: number) => ownedFrom.set(epoch, Math.min(ownedFrom.get(epoch) ?? seq, seq));
  for (const [epoch, firstSeq] of read.firstSeqs) own(epoch, firstSeq);
  for (const { epoch, seq } of labels) own(epoch, seq + 1);
  for (const { epoch, firstSeq } of [...carried, ...spooled]) own(epoch, firstSeq);
  // A newer owner that continued from an earlier seq has discarded these events.
  const isGivenUp = (epoch: number, lastSeq: number) => [...ownedFrom].some(([newer, from]) => newer > epoch && from <= lastSeq);
  const states = snapshots.filter(({ epoch, seq }) => !isGivenUp(epoch, seq)).sort((one, other) => one.seq - other.seq);
  const batches = [...states.flatMap(({ unrecorded = [] }) => unrecorded), ...spooled].filter(
    (batch) => !isGivenUp(batch.epoch, lastSeqOf(batch)),
  );
  const following = followers(batches);

  const parts: Part<Outline>[] = [];
  let { seq } = read;
  for (;;) {
    const batch = following(seq);
    if (batch) {
      parts.push({ kind: 'events', batch });
      seq = lastSeqOf(batch);
      continue;
    }
    const ahead = states.filter((state) => state.seq > seq);
    // The earliest state that events follow: it replaces the fewest events.
    const snapshot = ahead.find((state) => following(state.seq)) ?? ahead.at(-1);
    if (!snapshot) break;
    parts.push({ kind: 'state', firstSeq: seq + 1, snapshot });
    seq = snapshot.seq;
  }
  const knownSeq = batches.reduce((most, batch) => Math.max(most, lastSeqOf(batch)), seq);
  return { parts, seq, knownSeq };
}

/** The batches of the newest writer on a spool: it has rewritten all valid batches of earlier writers. A host that opens the spool does the same. */
function ofNewestWriter(batches: readonly EventBatch[]): readonly EventBatch[] {
  const newest = batches.reduce((most, batch) => Math.max(most, writerOf(batch)), 0);
  return batches.filter((batch) => writerOf(batch) === newest);
}

/**
 * Whether a newer owner decided other events in place of a batch, which the log has lost. The newer owner could not read the spool of another host, so
 * it continued without the batch, unless the log had it.
 */
function isSuperseded(batch: EventBatch, { seq, head }: ReadUpTo): boolean {
  return head !== undefined && writerOf(batch) < head.epoch && batch.firstSeq <= head.seq && head.seq > seq && lastSeqOf(batch) > seq;
}

/** @returns a function that finds the batch after a seq. Call it with ascending seqs: it passes once over the batches, of which there may be many. */
function followers(batches: readonly EventBatch[]): (seq: number) => EventBatch | undefined {
  const sorted = [...batches].sort((one, other) => one.firstSeq - other.firstSeq);
  const longest: { events?: EventBatch; state?: EventBatch } = {};
  let index = 0;
  return (seq) => {
    for (let batch = sorted[index]; batch && batch.firstSeq <= seq + 1; batch = sorted[++index]) {
      const kind = batch.loss ? 'state' : 'events';
      const known = longest[kind];
      if (!known || lastSeqOf(known) < lastSeqOf(batch)) longest[kind] = batch;
    }
    return (longest.events && after(longest.events, seq)) ?? (longest.state && after(longest.state, seq));
  };
}
