import { type EventBatch, type Journal, type ShardWriter, WriterEnded, type ZoneAddress } from '@millrace/kernel';

/** Writers of each log, by shard. */
const writers = new WeakMap<Journal, Map<number, Promise<ShardWriter>>>();

/** Appends batches as the owner of their shards, all shards at the same time. It claims shards that it does not own, or not any more. */
export async function appendTo(log: Journal, batches: readonly EventBatch[]): Promise<void> {
  const byShard = Map.groupBy(batches, ({ zone }) => log.shardOf(zone));
  await Promise.all([...byShard].map(([shard, ofShard]) => append(log, shard, ofShard)));
}

/** Makes the caller the owner of the shard of a zone. */
export function ownShardOf(log: Journal, zone: ZoneAddress): Promise<ShardWriter> {
  return own(log, log.shardOf(zone));
}

async function append(log: Journal, shard: number, batches: readonly EventBatch[]): Promise<void> {
  const known = writers.get(log) ?? new Map<number, Promise<ShardWriter>>();
  writers.set(log, known);
  const writer = known.get(shard) ?? own(log, shard);
  known.set(shard, writer);
  try {
    await (await writer).append(batches);
  } catch (error) {
    if (!(error instanceof WriterEnded)) throw error;
    const next = own(log, shard);
    known.set(shard, next);
    await (await next).append(batches);
  }
}

function own(log: Journal, shard: number): Promise<ShardWriter> {
  return log.own(shard, { lease: { leftMs: () => Number.POSITIVE_INFINITY }, onPrevious: () => {} });
}
