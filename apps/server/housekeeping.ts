import { systemClock } from '@millrace/base/clock';
import type { Settings } from '@millrace/config';
import type { RetentionRule } from '@millrace/log';
import { every } from '@millrace/module/jobs';
import type { Logger } from '@millrace/telemetry';
import type { Topic } from '@millrace/topics';
import { type CoverageOptions, ZoneCoverage } from './zone-coverage.ts';

const GIB = 1024 ** 3;
const HOUR_MS = 3_600_000;
/** Maximum number of attempts to delete events, each after snapshots of the zones that stopped the one before. */
const ROUNDS_MAX = 100;
/** Interval of retention, ms. */
const RETENTION_MS = 10 * 60_000;

/**
 * Runs retention periodically.
 * @returns function that stops it, without waiting for snapshot stores; resolves when the current run has ended
 */
export function startRetention(topics: Iterable<Topic>, settings: Settings, logger: Logger): () => Promise<void> {
  const stopping = new AbortController();
  const options = { logger, clock: systemClock, stopping: stopping.signal };
  const stop = every(
    RETENTION_MS,
    () => applyRetention(topics, settings, options),
    (error) => logger.error({ err: error }, 'retention failed'),
  );
  return () => {
    stopping.abort(new Error('the server stops'));
    return stop();
  };
}

/** Deletes events that are old enough, that every consumer group has read and that a snapshot covers, in the logs of all topics. */
export async function applyRetention(topics: Iterable<Topic>, { log }: Settings, options: CoverageOptions): Promise<void> {
  const { logger, stopping } = options;
  const rule = { olderThanMs: log.retentionHours * HOUR_MS, bytesMax: log.retentionGiB * GIB };
  for (const topic of topics) {
    if (stopping.aborted) return;
    // A failure of one topic must not fill the disk with the events of the others.
    await retain(topic, rule, options).catch((error) => logger.error({ err: error, topic: topic.name }, 'retention failed'));
  }
}

async function retain(topic: Topic, rule: RetentionRule, options: CoverageOptions): Promise<void> {
  const coverage = new ZoneCoverage(topic, options);
  const covering: RetentionRule = { ...rule, isCovered: (zone, seq) => coverage.covers(zone, seq) };
  let droppedEvents = 0;
  // The log stops at the first zone of each partition without a snapshot.
  for (let round = 0, isStopped = true; isStopped && round < ROUNDS_MAX; round++) {
    droppedEvents += await topic.log.retain(covering, Date.now());
    isStopped = await coverage.saveMissing();
  }
  const sizeFailure = topic.log.stats().brokers?.sizeFailure ?? null;
  if (sizeFailure !== null)
    options.logger.warn(
      { topic: topic.name, reason: sizeFailure },
      'the brokers do not tell the size of the log, so log.retentionGiB is compared with an estimate; allow the user of Millrace to Describe the cluster',
    );
  if (droppedEvents > 0) options.logger.info({ topic: topic.name, droppedEvents }, 'retention deleted events');
}
