import { systemClock } from '@millrace/base/clock';
import { type Cursor, readShard, SHARD_START, type ShardBroker, ShardTail, ShardWriter } from '@millrace/kafka';
import type { EventBatch, ZoneAddress } from '@millrace/kernel';
import { until } from '@millrace/testing';

let nonces = 0;

/** A batch with one event of a zone. */
export function batchOf(zone: string, seq: number, command: string): EventBatch {
  const events = [{ type: 'Counted', command }];
  return { zone: zone as ZoneAddress, epoch: 1, firstSeq: seq, version: 1, time: Date.now(), events, metas: null } as EventBatch;
}

/** Owns a shard, as soon as the brokers are ready for it. */
export async function own(broker: ShardBroker, shard: number, place: ReturnType<ShardWriter['place']> | null = null): Promise<ShardWriter> {
  const lease = { leftMs: () => Number.POSITIVE_INFINITY };
  let writer: ShardWriter | undefined;
  await until(async () => {
    const { cursor, heads } = place ?? { cursor: SHARD_START, heads: new Map() };
    const tail = new ShardTail({ broker, shard, clock: systemClock, cursor, heads });
    writer = await ShardWriter.own({ broker, shard, lease, clock: systemClock, tail, nonce: `${process.pid}-${++nonces}` });
    return true;
  }, `shard ${shard} is owned`);
  return writer as ShardWriter;
}

/** Commands of all valid events of a shard, in the order of the log. */
export async function commandsIn(broker: ShardBroker, shard: number, from: Cursor = SHARD_START): Promise<string[]> {
  const commands: string[] = [];
  for (let cursor = from; ; ) {
    const { batches, next, lag } = await readShard(broker, shard, cursor, { maxBytes: 2 ** 20, waitMs: 100 });
    for (const { batch } of batches) for (const event of batch.events) commands.push((event as unknown as { command: string }).command);
    cursor = next;
    if (lag === 0) return commands;
  }
}
