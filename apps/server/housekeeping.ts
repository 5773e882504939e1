import type { Settings } from '@millrace/config';
import type { Logger } from '@millrace/telemetry';
import type { Topic } from '@millrace/topics';

const GIB = 1024 ** 3;
const HOUR_MS = 3_600_000;
/** Interval of retention, ms. */
export const RETENTION_MS = 10 * 60_000;

/** Deletes events that are old enough and that every consumer group has read, in the logs of all topics. */
export async function applyRetention(topics: Iterable<Topic>, { log }: Settings, logger: Logger): Promise<void> {
  const rule = { olderThanMs: log.retentionHours * HOUR_MS, bytesMax: log.retentionGiB * GIB };
  for (const topic of topics) {
    const droppedEvents = await topic.log.retain(rule, Date.now());
    if (droppedEvents > 0) logger.info({ topic: topic.name, droppedEvents }, 'retention deleted events');
  }
}
