import { after, type EventBatch, lastSeqOf, type Snapshot, writerOf } from '@millrace/kernel';

/** What a snapshot tells without its state. */
export type SnapshotOutline = Pick<Snapshot, 'epoch' | 'seq' | 'unrecorded'>;

/** How far a zone was read from a damaged log. */
export interface ReadUpTo {
  /** Highest seq that was read; 0 for none. */
  readonly seq: number;
  /** By the epoch of the owner that decided them: the first seq that was read. */
  readonly firstSeqs: ReadonlyMap<number, number>;
  /** What the log knew of the zone when it was sound, as far as that was read: its newest owner, and how far it went. */
  readonly head?: { readonly epoch: number; readonly seq: number } | undefined;
}

/** What exists of a zone outside its log. */
export interface Elsewhere<Outline> {
  /** Every snapshot that there is or was, damaged ones too: its owner had not decided more by then. */
  readonly labels: readonly { readonly epoch: number; readonly seq: number }[];
  /** Snapshots that are ahead of what was read. */
  readonly snapshots: readonly Outline[];
  /** Of each spool, the zone’s batches, oldest first. */
  readonly spools: readonly (readonly EventBatch[])[];
}

/** A part of a zone’s history after the last event that was read: events that still exist, or the state after events that are lost. */
export type Part<Outline> =
  | { readonly kind: 'events'; readonly batch: EventBatch }
  | { readonly kind: 'state'; readonly firstSeq: number; readonly snapshot: Outline };

export interface Continuation<Outline> {
  readonly parts: readonly Part<Outline>[];
  /** The seq that the zone goes on after. */
  readonly seq: number;
  /** The highest seq that the zone is known to have had, as far as snapshots and spools tell. */
  readonly knownSeq: number;
}

/**
 * Continues a zone’s history from what exists outside its log. Events come first: a state takes the place of events only where no copy of them exists.
 * That a snapshot is ahead of the log is no loss by itself: while the log was unavailable the events went to a spool, and the snapshot carries them. A
 * snapshot whose carried events begin later than the log ends proves that the log had those in between.
 */
export function continuationOf<Outline extends SnapshotOutline>(
  read: ReadUpTo,
  { labels, snapshots, spools }: Elsewhere<Outline>,
): Continuation<Outline> {
  const spooled = spools.flatMap(ofNewestWriter).filter((batch) => !isDecidedAnew(batch, read));
  const carried = snapshots.flatMap(({ unrecorded }) => unrecorded);
  /** By epoch: from which seq on everything was decided by that owner or a newer one. */
  const ownedFrom = new Map<number, number>();
  const own = (epoch: number, seq: number) => ownedFrom.set(epoch, Math.min(ownedFrom.get(epoch) ?? seq, seq));
  for (const [epoch, firstSeq] of read.firstSeqs) own(epoch, firstSeq);
  for (const { epoch, seq } of labels) own(epoch, seq + 1);
  for (const { epoch, firstSeq } of [...carried, ...spooled]) own(epoch, firstSeq);
  // A newer owner that went on from an earlier seq did so without these.
  const isGivenUp = (epoch: number, lastSeq: number) => [...ownedFrom].some(([newer, from]) => newer > epoch && from <= lastSeq);
  const states = snapshots.filter(({ epoch, seq }) => !isGivenUp(epoch, seq)).sort((one, other) => one.seq - other.seq);
  const batches = [...states.flatMap(({ unrecorded }) => unrecorded), ...spooled].filter(
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
    // The earliest that events follow: the fewer are replaced.
    const snapshot = ahead.find((state) => following(state.seq)) ?? ahead.at(-1);
    if (!snapshot) break;
    parts.push({ kind: 'state', firstSeq: seq + 1, snapshot });
    seq = snapshot.seq;
  }
  const knownSeq = batches.reduce((most, batch) => Math.max(most, lastSeqOf(batch)), seq);
  return { parts, seq, knownSeq };
}

/** The newest writer on a spool has written everything anew that counts of those before it; a host that finds them there judges in the same way. */
function ofNewestWriter(batches: readonly EventBatch[]): readonly EventBatch[] {
  const newest = batches.reduce((most, batch) => Math.max(most, writerOf(batch)), 0);
  return batches.filter((batch) => writerOf(batch) === newest);
}

/**
 * Whether the log had events in a batch’s place that are lost now, and a newer owner. That one does not see the spool of another host, so it went on
 * without the batch, unless it is what the log had.
 */
function isDecidedAnew(batch: EventBatch, { seq, head }: ReadUpTo): boolean {
  return head !== undefined && writerOf(batch) < head.epoch && batch.firstSeq <= head.seq && head.seq > seq && lastSeqOf(batch) > seq;
}

/** Finds what follows a seq; to be called with seqs that never go back, since there may be very many batches. */
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
