import { join } from 'node:path';
import { KafkaBrokers, readShard, shardStart } from '@millrace/kafka';
import type { EventBatch } from '@millrace/kernel';
import { openLmdbLog } from '@millrace/log';
import { logOf } from './log-engine.ts';

const READ_BYTES = 4 * 2 ** 20;
/** Folders of the topics below the data folder. */
const FOLDERS = { market: '.', accounts: 'accounts', worlds: 'worlds' } as const;

/** All events that the log of a running server has now. @param data data folder of the server */
export async function recordedEvents(data: string, topic: keyof typeof FOLDERS): Promise<EventBatch[]> {
  const { MILLRACE_LOG__BROKERS: brokers, MILLRACE_LOG__TOPIC_PREFIX: prefix } = logOf('.', ['--data', data]);
  return brokers === undefined ? ofLmdb(join(data, FOLDERS[topic], 'log')) : ofKafka(JSON.parse(brokers), `${prefix}${topic}`);
}

async function ofLmdb(folder: string): Promise<EventBatch[]> {
  const log = openLmdbLog(folder);
  try {
    const found: EventBatch[] = [];
    for (const [partition, { start }] of log.stats().partitions.entries())
      for (let offset = start, isMore = true; isMore; ) {
        const { batches, next } = await log.readFrom(partition, offset, 100_000);
        found.push(...batches.map(({ batch }) => batch));
        isMore = next > offset;
        offset = next;
      }
    return found;
  } finally {
    await log.close();
  }
}

async function ofKafka(brokers: readonly string[], topic: string): Promise<EventBatch[]> {
  const broker = new KafkaBrokers({ brokers, clientId: 'millrace-test' }, topic);
  try {
    const found: EventBatch[] = [];
    for (const { shard } of await broker.replicas())
      for (let cursor = await shardStart(broker, shard), isMore = true; isMore; ) {
        const { batches, next, lag } = await readShard(broker, shard, cursor, { maxBytes: READ_BYTES, waitMs: 0 });
        found.push(...batches.map(({ batch }) => batch));
        isMore = lag > 0;
        cursor = next;
      }
    return found;
  } finally {
    await broker.close();
  }
}
