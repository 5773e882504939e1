import { join } from 'node:path';
import { UserError } from '@millrace/base/user-error';
import type { Settings } from '@millrace/config';
import type { TopicContract } from '@millrace/contracts';
import type { ModuleDefinition } from '@millrace/module';
import type { SharedContext } from '@millrace/module/runtime';
import { openSharedTopic, openTopic, type Topic, type TopicPlace } from '@millrace/topics';
import { noteEngine, requireEngine, topicLogOf } from './topic-logs.ts';

/**
 * Opens the topics of the enabled modules, by name.
 * @throws TypeError when two modules have a topic of one name
 * @throws UserError when the log of a topic cannot be used
 */
export async function openTopics(
  modules: readonly ModuleDefinition[],
  settings: Settings,
  { random, logger, database }: Pick<SharedContext, 'random' | 'logger' | 'database'>,
): Promise<ReadonlyMap<string, Topic>> {
  const topics = new Map<string, Topic>();
  for (const { contract, zones = [], zonesMax, placements = {}, shards } of modules)
    for (const [name, { folder, zones: where = 'here' }] of Object.entries<TopicContract>(contract.topics ?? {})) {
      if (topics.has(name)) throw new TypeError(`Two modules have the topic "${name}".`);
      const path = join(settings.data, folder);
      const planned = topicLogOf(settings, name, shards?.(settings)[name]);
      const id = requireEngine(name, { folder: path, log: planned });
      const log = id === undefined ? planned : { ...planned, id };
      const place: TopicPlace = { folder: path, log, placement: placements[name], database: database.connection };
      const kinds = zones.filter(({ topic }) => topic === name).map(({ definition }) => definition(settings));
      const most = zonesMax?.(settings);
      const options = {
        spoolMiB: settings.log.spoolMiB,
        random,
        logger,
        ...(most !== undefined && { zonesMax: most }),
      };
      const open = () => (where === 'processes' ? openSharedTopic(name, place) : openTopic(name, place, kinds, options));
      const topic = await opened(name, place, open());
      noteEngine(topic);
      topics.set(name, topic);
    }
  return topics;
}

/** @throws UserError for what the operator can correct */
async function opened(name: string, { log }: TopicPlace, opening: Promise<Topic>): Promise<Topic> {
  try {
    return await opening;
  } catch (error) {
    if (log.engine === 'lmdb' || !(error instanceof Error)) throw error;
    const isUnsafe = error.name === 'TopicUnsafe';
    if (!isUnsafe && error.name !== 'BrokerError') throw error;
    throw new UserError(
      isUnsafe ? error.message : `the log of the topic "${name}" cannot be opened: ${error.message}`,
      isUnsafe
        ? 'Change the topic in Kafka, or use another log.topicPrefix.'
        : `Check that the brokers ${log.connection.brokers.join(', ')} run and can be reached, and log.tls and log.sasl.`,
    );
  }
}
