import { UserError } from '@millrace/base/user-error';
import { lastSeqOf, type ZoneAddress } from '@millrace/kernel';
import type { StoredLog } from '@millrace/log';

/** Batches between two calls of `onProgress`. */
const PROGRESS_BATCHES = 10_000;

/** Offsets that a log lacks between others: a repair could not read them. */
interface Hole {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

/** What a copy of a log needs to know before it begins. */
export interface LogSurvey {
  readonly events: number;
  /** By shard of the copy: the partition that has, or had, the events of its zones, and how many it has. Shards that never had a zone are missing. */
  readonly shards: ReadonlyMap<number, { readonly partition: number; readonly events: number }>;
  /** Newest seq of each zone before its oldest event in the log. */
  readonly headsBefore: ReadonlyMap<ZoneAddress, number>;
  readonly holes: readonly Hole[];
}

/**
 * Reads a log as a whole.
 * @param onProgress called with the number of events that were read
 * @throws UserError when it cannot be copied: events of a zone are missing, or zones of one shard are in several partitions
 */
export async function surveyLog(
  from: StoredLog,
  shardOf: (zone: ZoneAddress) => number,
  onProgress: (events: number) => void = () => {},
): Promise<LogSurvey> {
  const heads = new Map<ZoneAddress, number>();
  const headsBefore = new Map<ZoneAddress, number>();
  const shards = new Map<number, { partition: number; events: number }>();
  const holes: Hole[] = [];
  let total = 0;
  let batches = 0;
  let reported = 0;
  for (const [partition, { start, end }] of from.partitions.entries()) {
    let due = start;
    for (const { offset, next, batch } of from.batches(partition)) {
      if (offset > due) holes.push({ partition, from: due, to: offset });
      due = next;
      const { zone, firstSeq, events } = batch;
      const head = heads.get(zone);
      if (head === undefined) headsBefore.set(zone, firstSeq - 1);
      else if (firstSeq > head + 1) throw gapOf(zone, head + 1, firstSeq - 1);
      heads.set(zone, lastSeqOf(batch));
      noteShard(shards, shardOf(zone), partition).events += events.length;
      total += events.length;
      if (++batches % PROGRESS_BATCHES > 0) continue;
      onProgress(total - reported);
      reported = total;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (due < end) holes.push({ partition, from: due, to: end });
  }
  for (const [zone, seq] of from.heads) {
    noteShard(shards, shardOf(zone), from.partitionOf(zone));
    const found = heads.get(zone);
    if (found === undefined) headsBefore.set(zone, seq);
    else if (found < seq) throw gapOf(zone, found + 1, seq);
  }
  return { events: total, shards, headsBefore, holes };
}

function noteShard(shards: Map<number, { partition: number; events: number }>, shard: number, partition: number) {
  const known = shards.get(shard) ?? { partition, events: 0 };
  if (known.partition !== partition)
    throw new UserError(
      `shard ${shard} would get zones of several partitions of the present log, so the offsets of consumer groups could not be kept`,
      'Set log.shards to a multiple of 4, as 8.',
    );
  shards.set(shard, known);
  return known;
}

function gapOf(zone: ZoneAddress, first: number, last: number): UserError {
  return new UserError(
    `the log lacks the events ${first} to ${last} of ${zone}, which a repair could not read; such a log cannot be moved`,
    'Keep log.engine "lmdb" until retention has deleted the events before them.',
  );
}
